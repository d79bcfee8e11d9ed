import { type Clock, type Duration, durationMs, systemClock, wholeClock } from './clock.ts'
import type { CookieAttributes } from './cookie.ts'
import { CoatcheckError } from './errors.ts'
import { defaultIdentify, defaultPrivilege } from './identity.ts'
import type { NearCacheSettings } from './near-cache.ts'
import type { Clocks } from './policy.ts'
import type { Bag } from './session-data.ts'
import type { SessionStore } from './store.ts'

/** Settings that weaken the defence. In production each is refused unless `allowInProduction` names it (law 12). */
export type Weakness =
  | 'memory-store'
  | 'insecure-cookie'
  | 'script-readable-cookie'
  | 'cross-site-cookie'
  | 'domain-cookie'
  | 'path-cookie'

/** How the two session cookies look. */
export interface CookieOptions {
  /** The signed-in session's cookie, without prefix. Default `sid`; in production it becomes `__Host-sid`. */
  readonly name?: string
  /** The anonymous session's cookie, without prefix. Default `visit`. */
  readonly visitName?: string
  /** `lax` (default), `strict`, or `none`, which needs `secure` and, in production, the name `cross-site-cookie`. */
  readonly sameSite?: 'lax' | 'strict' | 'none'
  /**
   * Only over TLS. Default: true in production, false otherwise.
   *
   * **Warning:** false in production lets anyone on the network path read the cookie; the name is `insecure-cookie`.
   */
  readonly secure?: boolean
  /**
   * Hidden from scripts. Default true.
   *
   * **Warning:** false hands every session to any script that gets into a page; the name is `script-readable-cookie`.
   */
  readonly httpOnly?: boolean
  /**
   * Shares the cookie with all subdomains.
   *
   * **Warning:** any of them can then read and plant it, and the `__Host-` prefix is lost; the name is `domain-cookie`.
   */
  readonly domain?: string
  /**
   * Default `/`. A path keeps a cookie from nobody: two engines in one app are told apart by their cookies' names.
   *
   * **Warning:** with any other path the `__Host-` prefix is lost, and a sibling host can plant one; the name is `path-cookie`.
   */
  readonly path?: string
}

/** Bounds of the near cache. */
export interface NearCacheOptions {
  /** How long a proof that the watch delivers counts; from 100 ms to one minute. Default `'2s'`. */
  readonly lease?: Duration
  /** So many of the records used last are kept at least, and at most twice as many; they take 64 MiB at most. Default 10000. */
  readonly max?: number
}

/** What `createSessions` takes. Checked once, then frozen. */
export interface SessionsOptions {
  /** Where the records rest. */
  readonly store: SessionStore
  /** 32 bytes or more of random text. A list rotates them: the first signs, all verify. */
  readonly secret: string | readonly string[] | undefined
  /** Ends a session unused for this long. Default `'24h'`. */
  readonly idleTimeout?: Duration
  /** Ends a session this long after sign-in, whatever happens. Default `'30d'`. */
  readonly absoluteTimeout?: Duration
  /** Use is written down at most this often; the idle clock runs early by at most this much. Default `'5m'`. */
  readonly touchEvery?: Duration
  readonly cookie?: CookieOptions
  /** Who the data says is signed in. Default: `userId`, else `user?.id`, else `passport?.user`. */
  readonly identify?: (data: Bag) => unknown
  /** What a change of which must rotate the token. Default: `role`. Compared as JSON with sorted keys. */
  readonly privilege?: (data: Bag) => unknown
  /**
   * Keeps records that were read in this process's memory, as long as the store's watch proves them fresh. Default off:
   * every read is strict. A revocation then takes effect in milliseconds instead of at once, and never later than
   * `lease` (default `'2s'`) whatever fails; a save made by another process is seen as much later. `max` records
   * (default 10000). See docs/near-cache.md.
   */
  readonly nearCache?: boolean | NearCacheOptions
  /** Largest data of one session, in bytes of JSON. Default 262144 (256 KiB). */
  readonly maxDataBytes?: number
  /** Sessions one person may have; a login beyond ends the oldest. Default 100; needs a store that can list. */
  readonly maxSessionsPerUser?: number
  /** Default: whether `NODE_ENV` is `production`. */
  readonly production?: boolean
  /** The weaker settings that are meant, by name. */
  readonly allowInProduction?: readonly Weakness[]
  /** For tests. */
  readonly clock?: Clock
}

/** The options with every default filled in and every duration in milliseconds. */
export interface Settings {
  readonly store: SessionStore
  readonly secrets: readonly string[]
  readonly clocks: Clocks
  /** `__Host-`, `__Secure-` or nothing: what stands before each of our cookies' names. */
  readonly cookiePrefix: string
  readonly signedInCookie: string
  readonly visitCookie: string
  readonly attributes: CookieAttributes
  readonly identify: (data: Bag) => unknown
  readonly privilege: (data: Bag) => unknown
  /** undefined where every read is strict. */
  readonly nearCache: NearCacheSettings | undefined
  readonly maxDataBytes: number
  /** undefined where the store cannot list. */
  readonly maxSessionsPerUser: number | undefined
  readonly production: boolean
  readonly clock: Clock
}

/** What the signed-in cookie is called, before its prefix, unless the application says otherwise. */
export const SIGNED_IN_NAME = 'sid'
const SECRET_BYTES = 32

/**
 * Checks the options and fills in the defaults.
 *
 * @throws CoatcheckError `BAD_OPTION`, at start-up, naming the option and the remedy
 */
export function settingsFrom(options: SessionsOptions): Settings {
  const production = options.production ?? process.env.NODE_ENV === 'production'
  const attributes = cookieAttributes(options.cookie ?? {}, production)
  const store = checkedStore(options.store)
  refuseWeakness(weaknesses(store, attributes), production, options.allowInProduction ?? [])
  const prefix = cookiePrefix(attributes)
  return Object.freeze({
    store,
    secrets: checkedSecrets(options.secret),
    clocks: checkedClocks(options),
    cookiePrefix: prefix,
    signedInCookie: prefix + cookieName(options.cookie?.name ?? SIGNED_IN_NAME, 'cookie.name'),
    visitCookie: prefix + cookieName(options.cookie?.visitName ?? 'visit', 'cookie.visitName'),
    attributes,
    identify: options.identify ?? defaultIdentify,
    privilege: options.privilege ?? defaultPrivilege,
    nearCache: nearCacheSettings(options.nearCache, store),
    maxDataBytes: positive(options.maxDataBytes ?? 262_144, 'maxDataBytes'),
    maxSessionsPerUser: sessionCap(options.maxSessionsPerUser, store),
    production,
    clock: options.clock === undefined ? systemClock : wholeClock(options.clock),
  })
}

function bad(message: string): CoatcheckError {
  return new CoatcheckError('BAD_OPTION', message)
}

function checkedStore(store: unknown): SessionStore {
  if (typeof store === 'object' && store !== null && 'read' in store && 'replace' in store && 'marks' in store) {
    return store as SessionStore
  }
  throw bad("store must be one of Coatcheck's stores, such as sqliteStore('sessions.db'), or your own SessionStore.")
}

function checkedSecrets(secret: SessionsOptions['secret']): readonly string[] {
  const secrets = typeof secret === 'string' ? [secret] : [...(secret ?? [])]
  const long = secrets.every(one => typeof one === 'string' && Buffer.byteLength(one) >= SECRET_BYTES)
  if (secrets.length > 0 && long) return Object.freeze(secrets)
  throw bad(
    `secret must be ${SECRET_BYTES} bytes or more of random text, or a list of such, newest first. ` +
      `Make one with: node -p "require('node:crypto').randomBytes(32).toString('base64url')"`,
  )
}

function checkedClocks(options: SessionsOptions): Clocks {
  const clocks = {
    idleMs: durationMs(options.idleTimeout ?? '24h', 'idleTimeout'),
    absoluteMs: durationMs(options.absoluteTimeout ?? '30d', 'absoluteTimeout'),
    touchEveryMs: 0,
  }
  // A touch interval as long as the idle time would end sessions in use.
  const most = Math.min(300_000, clocks.idleMs / 4)
  clocks.touchEveryMs = options.touchEvery === undefined ? most : durationMs(options.touchEvery, 'touchEvery')
  if (clocks.touchEveryMs >= clocks.idleMs)
    throw bad('touchEvery must be shorter than idleTimeout, or sessions in use would end.')
  return Object.freeze(clocks)
}

function cookieAttributes(options: CookieOptions, production: boolean): CookieAttributes {
  const { sameSite = 'lax', secure = production, httpOnly = true, domain, path = '/' } = options
  if (!['lax', 'strict', 'none'].includes(sameSite))
    throw bad(`cookie.sameSite must be 'lax', 'strict' or 'none'; got ${JSON.stringify(sameSite)}.`)
  if (sameSite === 'none' && !secure) throw bad("cookie.sameSite 'none' needs cookie.secure: browsers refuse it otherwise.")
  if (!path.startsWith('/')) throw bad(`cookie.path must begin with '/'; got ${JSON.stringify(path)}.`)
  return Object.freeze({ path, httpOnly, secure, sameSite, ...(domain === undefined ? {} : { domain }) })
}

/** `__Host-` binds a cookie to this very host; `__Secure-` only to TLS (RFC 6265bis §4.1.3; ASVS 5.0 3.3.1, 3.3.3). */
function cookiePrefix({ secure, domain, path }: CookieAttributes): string {
  if (!secure) return ''
  return domain === undefined && path === '/' ? '__Host-' : '__Secure-'
}

function cookieName(name: string, option: string): string {
  if (/^[\w!#$%&'*+.^`|~-]{1,64}$/.test(name) && !name.startsWith('__')) return name
  throw bad(`${option} must be 1 to 64 token characters without a '__' prefix (Coatcheck adds it); got ${JSON.stringify(name)}.`)
}

function weaknesses(store: SessionStore, attributes: CookieAttributes): readonly Weakness[] {
  const found: [Weakness, boolean][] = [
    ['memory-store', store.developmentOnly === true],
    ['insecure-cookie', !attributes.secure],
    ['script-readable-cookie', !attributes.httpOnly],
    ['cross-site-cookie', attributes.sameSite === 'none'],
    ['domain-cookie', attributes.domain !== undefined],
    ['path-cookie', attributes.path !== '/'],
  ]
  return found.filter(([, present]) => present).map(([name]) => name)
}

function refuseWeakness(found: readonly Weakness[], production: boolean, allowed: readonly Weakness[]): void {
  if (!production) return
  const refused = found.filter(name => !allowed.includes(name))
  if (refused.length === 0) return
  const names = refused.map(name => `'${name}'`).join(', ')
  throw bad(`Too weak for production: ${names}. Use the safe default, or, if this is meant, allowInProduction: [${names}].`)
}

function nearCacheSettings(option: SessionsOptions['nearCache'], store: SessionStore): NearCacheSettings | undefined {
  if (option === undefined || option === false) return undefined
  if (store.watch === undefined || store.cannot?.watch !== undefined) {
    const reason = store.cannot?.watch ?? 'it has no watch'
    throw bad(`nearCache needs a store that tells of changes, and ${store.name} cannot: ${reason}. Leave nearCache out.`)
  }
  const { lease = '2s', max = 10_000 } = option === true ? {} : option
  const leaseMs = durationMs(lease, 'nearCache.lease')
  if (leaseMs < 100 || leaseMs > 60_000)
    throw bad(`nearCache.lease must be from 100 ms to one minute; got ${JSON.stringify(lease)}.`)
  return Object.freeze({ leaseMs, max: positive(max, 'nearCache.max') })
}

function positive(value: number, option: string): number {
  if (Number.isSafeInteger(value) && value > 0) return value
  throw bad(`${option} must be a whole number above 0; got ${JSON.stringify(value)}.`)
}

function sessionCap(value: number | undefined, store: SessionStore): number | undefined {
  const reason = store.cannot?.listByUser
  if (reason === undefined) return positive(value ?? 100, 'maxSessionsPerUser')
  if (value === undefined) return undefined
  throw bad(`maxSessionsPerUser needs a store that lists by user, and ${store.name} cannot: ${reason}`)
}
