import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Exchange, RequestFacts } from '../../src/core/exchange.ts'
import type { SessionsOptions } from '../../src/core/options.ts'
import { createSessions, type Sessions } from '../../src/core/sessions.ts'
import type { SessionStore } from '../../src/core/store.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { sqliteStore } from '../../src/stores/sqlite.ts'
import { type Gate, gatedStore } from '../../src/testing/gate.ts'

export const SECRET = 'a secret of thirty-two bytes at least, for tests'

/** A clock that stands still until it is told otherwise. */
export class TestClock {
  #now: number

  constructor(start = Date.UTC(2026, 0, 1)) {
    this.#now = start
  }

  now = (): number => this.#now

  advance(ms: number): void {
    this.#now += ms
  }
}

/** A kind of store, and how two engines over one space of it are opened. */
export interface StoreKind {
  readonly name: string
  open(options: Partial<SessionsOptions>): World
}

/** What laws.test.ts and random-races.test.ts run over. The tests of test/processes put kinds of their own in their place. */
export const storeKinds: StoreKind[] = [
  inThisProcess({
    name: 'memory',
    pair(clock) {
      const one = memoryStore({ clock })
      return { one, two: one, close: async () => {} }
    },
  }),
  inThisProcess({
    name: 'sqlite',
    pair(clock) {
      const folder = mkdtempSync(join(tmpdir(), 'coatcheck-'))
      const path = join(folder, 'sessions.db')
      const one = sqliteStore(path, { clock })
      const two = sqliteStore(path, { clock })
      return {
        one,
        two,
        async close() {
          await one.close?.()
          await two.close?.()
          rmSync(folder, { recursive: true })
        },
      }
    },
  }),
]

/** What tests ask of an engine, be it of this process or of another one. */
export type Engine = Pick<
  Sessions,
  | 'open'
  | 'on'
  | 'attempt'
  | 'devices'
  | 'revokeDevice'
  | 'revokeOthers'
  | 'list'
  | 'get'
  | 'revoke'
  | 'revokeUser'
  | 'revokeEveryone'
>

/** Two engines over one space, each behind its own gate, and one clock. */
export interface World {
  readonly clock: TestClock
  readonly one: Sessions
  readonly two: Engine
  readonly gate: Gate
  /** Of `two`, where that is in this process. */
  readonly otherGate?: Gate
  close(): Promise<void>
}

export function openWorld(kind: StoreKind, options: Partial<SessionsOptions> = {}): World {
  return kind.open(options)
}

/** Two handles on one space, as two processes would have them. */
interface Pair {
  readonly one: SessionStore
  readonly two: SessionStore
  close(): Promise<void>
}

function inThisProcess(kind: { readonly name: string; pair(clock: TestClock): Pair }): StoreKind {
  return { name: kind.name, open: options => worldOver(clock => kind.pair(clock), options) }
}

function worldOver(open: (clock: TestClock) => Pair, options: Partial<SessionsOptions>): World {
  const clock = new TestClock()
  const pair = open(clock)
  const gate = gatedStore(pair.one)
  const otherGate = gatedStore(pair.two)
  const shared = { secret: SECRET, clock, production: false, ...options }
  return {
    clock,
    gate,
    otherGate,
    one: createSessions({ ...shared, store: gate.store }),
    two: createSessions({ ...shared, store: otherGate.store }),
    close: pair.close,
  }
}

export const facts: RequestFacts = { secure: () => true, ip: () => '192.0.2.7', userAgent: () => 'Test/1.0' }

type Opener = Pick<Sessions, 'open'>

/** A browser's cookie jar, and nothing more. */
export class Browser {
  readonly jar = new Map<string, string>()

  get cookie(): string | undefined {
    return this.jar.size === 0 ? undefined : [...this.jar].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  /** Sends a request with the cookies of now; the answer's come with `receive`. */
  async send(sessions: Opener): Promise<Exchange> {
    return sessions.open(this.cookie, facts)
  }

  /** What the browser does with the Set-Cookie lines. */
  receive(setCookie: readonly string[]): void {
    for (const line of setCookie) {
      const [pair = ''] = line.split(';')
      const at = pair.indexOf('=')
      const value = pair.slice(at + 1)
      if (value === '') this.jar.delete(pair.slice(0, at))
      else this.jar.set(pair.slice(0, at), value)
    }
  }

  /** A whole request: the handler's acts, the commit, the cookies. */
  async request(sessions: Opener, act: (exchange: Exchange) => unknown = () => {}): Promise<Exchange> {
    const exchange = await this.send(sessions)
    await act(exchange)
    this.receive((await exchange.commit()).setCookie)
    return exchange
  }

  /** Signs in through a request. */
  login(sessions: Opener, userId: string, remember = false): Promise<Exchange> {
    return this.request(sessions, ({ session }) => session.login(userId, { remember }))
  }

  /** Another tab of the same browser as it is now. */
  fork(): Browser {
    const other = new Browser()
    for (const [name, value] of this.jar) other.jar.set(name, value)
    return other
  }

  /** Who the server takes this browser for. */
  async whoAmI(sessions: Opener): Promise<string | undefined> {
    const exchange = await this.send(sessions)
    return exchange.session.userId
  }
}

/** The code of the error that `act` rejects with; undefined where it does not. */
export async function codeOf(act: () => unknown): Promise<string | undefined> {
  try {
    await act()
    return undefined
  } catch (error) {
    return (error as { code?: string }).code ?? String(error)
  }
}
