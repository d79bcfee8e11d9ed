import { resolve } from 'node:path'

/** An account that the environment describes. Without `password` a random one is made. */
export interface FirstAccount {
  readonly role: 'admin' | 'member'
  readonly email: string
  readonly password: string | undefined
}

/** What the environment says, checked. */
export interface Settings {
  readonly production: boolean
  readonly host: string
  readonly port: number
  /** Absolute path of the folder for everything that must outlive a restart. */
  readonly dataDir: string
  /** undefined in development, where one is made and kept. */
  readonly secret: string | undefined
  /** What Express is to believe of `X-Forwarded-*`: a number of proxies, or their addresses; false for none. */
  readonly trustProxy: number | string | false
  /** Where people reach the app, for links in mails: 'https://app.example.com'. In development its own address is taken. */
  readonly publicUrl: string | undefined
  /** How long after a sign-in or confirmation dangerous acts are let pass: '10m'. */
  readonly freshFor: `${number}${'s' | 'm' | 'h'}`
  /** Where sessions are kept, and where it can tries to sign in are counted, instead of in files: one of these at most. */
  readonly redisUrl: string | undefined
  readonly databaseUrl: string | undefined
  readonly mongodbUrl: string | undefined
  readonly memcachedUrl: string | undefined
  readonly firstAccounts: readonly FirstAccount[]
}

/** A mistake in the environment. Its message is for the person who started the app. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError'
}

export const SHORTEST_PASSWORD = 8
const SECRET_BYTES = 32
const MAKE_ONE = `Make one with: node -p "require('node:crypto').randomBytes(32).toString('base64url')"`

/**
 * Reads the settings from environment variables.
 *
 * @throws SettingsError naming the variable and the remedy
 */
export function settingsFrom(env: Readonly<NodeJS.ProcessEnv>): Settings {
  const production = env.NODE_ENV === 'production'
  return {
    production,
    host: env.HOST || '127.0.0.1',
    port: port(env.PORT),
    dataDir: resolve(env.DATA_DIR || 'data'),
    secret: secret(env.SESSION_SECRET, production),
    trustProxy: trustProxy(env.TRUST_PROXY),
    publicUrl: publicUrl(env.PUBLIC_URL),
    freshFor: freshFor(env.FRESH_FOR || '10m'),
    redisUrl: env.REDIS_URL || undefined,
    databaseUrl: env.DATABASE_URL || undefined,
    mongodbUrl: env.MONGODB_URL || undefined,
    memcachedUrl: env.MEMCACHED_URL || undefined,
    firstAccounts: [
      firstAccount('admin', 'ADMIN', env.ADMIN_EMAIL, env.ADMIN_PASSWORD),
      firstAccount('member', 'MEMBER', env.MEMBER_EMAIL, env.MEMBER_PASSWORD),
    ],
  }
}

function port(text: string | undefined): number {
  const value = Number(text || 3000)
  if (Number.isInteger(value) && value >= 0 && value <= 65_535) return value
  throw new SettingsError(`PORT must be a whole number from 0 to 65535; got ${JSON.stringify(text)}.`)
}

function secret(text: string | undefined, production: boolean): string | undefined {
  if (!text) {
    if (!production) return undefined
    throw new SettingsError(`SESSION_SECRET is required in production: ${SECRET_BYTES} bytes or more of random text. ${MAKE_ONE}`)
  }
  if (Buffer.byteLength(text) >= SECRET_BYTES) return text
  throw new SettingsError(`SESSION_SECRET must be ${SECRET_BYTES} bytes or more; it has ${Buffer.byteLength(text)}. ${MAKE_ONE}`)
}

function trustProxy(text: string | undefined): number | string | false {
  if (!text) return false
  return /^\d+$/.test(text) ? Number(text) : text
}

function publicUrl(text: string | undefined): string | undefined {
  if (!text) return undefined
  const url = URL.parse(text)
  if (url !== null && /^https?:$/.test(url.protocol) && url.href === `${url.origin}/`) return url.origin
  throw new SettingsError(
    `PUBLIC_URL must be an address without a path such as https://app.example.com; got ${JSON.stringify(text)}.`,
  )
}

function freshFor(text: string): Settings['freshFor'] {
  const [, count, unit] = /^([1-9]\d{0,3})(s|m|h)$/.exec(text) ?? []
  if (unit === 's' || unit === 'm' || unit === 'h') return `${Number(count)}${unit}`
  throw new SettingsError(`FRESH_FOR must be a number of seconds, minutes or hours such as 10m; got ${JSON.stringify(text)}.`)
}

function firstAccount(
  role: FirstAccount['role'],
  prefix: string,
  email: string | undefined,
  password: string | undefined,
): FirstAccount {
  if (password && [...password].length < SHORTEST_PASSWORD) {
    throw new SettingsError(`${prefix}_PASSWORD must have ${SHORTEST_PASSWORD} characters or more.`)
  }
  if (email && !/^[^@\s]+@[^@\s]+$/.test(email)) {
    throw new SettingsError(`${prefix}_EMAIL must be an e-mail address; got ${JSON.stringify(email)}.`)
  }
  return { role, email: email || `${role}@example.com`, password: password || undefined }
}
