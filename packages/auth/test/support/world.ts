import { randomUUID } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { createSessions, type Exchange, type SessionStore, type Sessions, type SessionsOptions } from 'coatcheck'
import { memoryStore } from 'coatcheck/memory'
import {
  type Auth,
  type AuthOptions,
  type Credentials,
  createAuth,
  type PasswordToSave,
  type ResetToSend,
} from '../../src/index.ts'
import { memoryLimiter } from '../../src/limiters/memory.ts'

export const SECRET = 'a secret of thirty-two bytes at least, for tests'
/** Below Appendix C: for tests in which the cost of a hash is not the matter. */
export const CHEAP = { memoryKiB: 8, passes: 1, longestQueue: 100_000 }

/** An application's users, in a real database. */
class UserTable {
  readonly database = new DatabaseSync(':memory:')
  readonly mails: ResetToSend[] = []
  /** Each call of a hook, in order. */
  readonly calls: string[] = []
  /** Held by tests that force an interleaving. */
  beforeFindCredentials: () => Promise<void> | void = () => {}
  beforeSavePassword: () => Promise<void> | void = () => {}

  constructor() {
    this.database.exec(
      'CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT UNIQUE COLLATE NOCASE, hash TEXT, disabled INTEGER DEFAULT 0)',
    )
  }

  add(email: string, hash: string | null): string {
    const id = randomUUID()
    this.database.prepare('INSERT INTO users (id, email, hash) VALUES (?, ?, ?)').run(id, email, hash)
    return id
  }

  hashOf(id: string): string | null {
    return (this.database.prepare('SELECT hash FROM users WHERE id = ?').get(id) as { hash: string | null }).hash
  }

  findUser = (email: string): { id: string } | undefined => {
    this.calls.push('findUser')
    return this.database.prepare('SELECT id FROM users WHERE email = ?').get(email) as { id: string } | undefined
  }

  findCredentials = async (id: string): Promise<Credentials | undefined> => {
    this.calls.push('findCredentials')
    await this.beforeFindCredentials()
    const row = this.database.prepare('SELECT hash AS passwordHash, disabled, email FROM users WHERE id = ?').get(id)
    return row && ({ ...row, about: [String(row.email)] } as unknown as Credentials)
  }

  savePassword = async ({ userId, passwordHash, replaces, why }: PasswordToSave): Promise<boolean> => {
    this.calls.push(`savePassword ${why}`)
    await this.beforeSavePassword()
    const update = this.database.prepare('UPDATE users SET hash = ? WHERE id = ? AND hash IS ?')
    return update.run(passwordHash, userId, replaces).changes === 1
  }

  sendReset = (mail: ResetToSend): void => {
    this.mails.push(mail)
  }

  disableUser = (id: string): void => {
    this.database.prepare('UPDATE users SET disabled = 1 WHERE id = ?').run(id)
  }

  enableUser = (id: string): void => {
    this.database.prepare('UPDATE users SET disabled = 0 WHERE id = ?').run(id)
  }
}

/** A clock that goes only when told; it begins now, since the store throws away by its own. */
class TestClock {
  #now = Date.now()
  now = (): number => this.#now
  advance(ms: number): void {
    this.#now += ms
  }
}

export interface World {
  readonly sessions: Sessions
  readonly auth: Auth
  readonly users: UserTable
  readonly clock: TestClock
  /** Events of auth, in order. */
  readonly events: { readonly name: string; readonly event: Record<string, unknown> }[]
  /** A person with this password. */
  person(password: string, email?: string): Promise<{ readonly id: string; readonly email: string }>
  close(): Promise<void>
}

const EVENTS = [
  'login.failed',
  'login.throttled',
  'sign-up.throttled',
  'login.many-failures',
  'login.new-device',
  'reauthentication.failed',
  'reauthentication.throttled',
  'token.reused',
  'password.saved',
  'rehash.failed',
  'reset.requested',
  'reset.throttled',
  'reset.unsent',
  'account.disabled',
  'account.enabled',
  'limiter.failed',
] as const

export interface Options extends Partial<Omit<AuthOptions, 'sessions'>> {
  readonly store?: SessionStore
  readonly secret?: string | readonly string[]
  /** As in production, but for what a test needs: memory, and cheap hashes. */
  readonly production?: boolean
  /** Handed on to `createSessions`. */
  readonly sessionOptions?: Partial<SessionsOptions>
}

export function openWorld(options: Options = {}): World {
  const { store = memoryStore(), secret = SECRET, production = false, sessionOptions = {}, ...given } = options
  const clock = new TestClock()
  const sessions = createSessions({ store, secret, production, clock, allowInProduction: ['memory-store'], ...sessionOptions })
  const users = new UserTable()
  const { findUser, findCredentials, savePassword, sendReset, disableUser, enableUser } = users
  const hooks = { findUser, findCredentials, savePassword, sendReset, disableUser, enableUser }
  const auth = createAuth({
    sessions,
    ...hooks,
    limiter: memoryLimiter(),
    now: clock.now,
    allowInProduction: ['memory-limiter', 'weak-hashing'],
    ...given,
    passwords: { ...CHEAP, ...given.passwords },
  })
  const events: World['events'] = []
  for (const name of EVENTS) auth.on(name, event => events.push({ name, event: { ...event } }))
  return {
    sessions,
    auth,
    users,
    clock,
    events,
    async person(password, email = `${randomUUID()}@example.org`) {
      const hashed = await auth.hashPassword(password)
      if (!hashed.ok) throw new Error(hashed.message)
      return { id: users.add(email, hashed.passwordHash), email }
    },
    async close() {
      auth.close()
      await sessions.close()
    },
  }
}

/** What a browser does with Set-Cookie lines. */
export function receiveInto(jar: Map<string, string>, setCookie: readonly string[]): void {
  for (const line of setCookie) {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
    if (value === '') jar.delete(name)
    else jar.set(name, value)
  }
}

/** A browser's cookie jar at an address. */
export class Browser {
  readonly jar = new Map<string, string>()
  readonly #sessions: Sessions
  ip: string | undefined

  constructor(sessions: Sessions, ip: string | undefined = '192.0.2.1') {
    this.#sessions = sessions
    this.ip = ip
  }

  get cookie(): string | undefined {
    return this.jar.size === 0 ? undefined : [...this.jar].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  open(): Promise<Exchange> | Exchange {
    return this.#sessions.open(this.cookie, { secure: () => true, ip: () => this.ip, userAgent: () => 'Test/1.0' })
  }

  /** One request: what its handler does, then the cookies of its answer. */
  async request<Result>(act: (session: Exchange['session']) => Result | Promise<Result>): Promise<Result> {
    const exchange = await this.open()
    try {
      return await act(exchange.session)
    } finally {
      // As adapters do: an error's answer commits too.
      this.receive((await exchange.commit()).setCookie)
    }
  }

  receive(setCookie: readonly string[]): void {
    receiveInto(this.jar, setCookie)
  }

  /** Who the server takes this browser for. */
  async whoAmI(): Promise<string | undefined> {
    return (await this.open()).session.userId
  }

  /** The same jar in another hand. */
  copy(): Browser {
    const other = new Browser(this.#sessions, this.ip)
    for (const [name, value] of this.jar) other.jar.set(name, value)
    return other
  }
}
