import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { isCoatcheckError } from '../../src/core/errors.ts'
import type { SessionsOptions } from '../../src/core/options.ts'
import { createSessions, type Sessions } from '../../src/core/sessions.ts'
import type { SessionStore } from '../../src/core/store.ts'
import { Browser, SECRET } from '../core/world.ts'

const PEOPLE = 40
const WORKERS = 8

/** What people saw. */
export interface Seen {
  answered: number
  saved: number
  /** Refused with a typed 503. */
  refused: number
  /** Failed in any other way: none may. */
  otherwise: string[]
  wrongIdentity: number
  signedOut: number
  /** A change that was acknowledged and not there later. */
  lost: number
  slowestMs: number
}

type Process = Pick<Sessions, 'open'>

interface Person {
  readonly name: string
  readonly browser: Browser
  acknowledged: number
}

/** Signed-in people who read and save at once and all the time, while somebody breaks the store. */
export class Traffic {
  readonly seen: Seen = {
    answered: 0,
    saved: 0,
    refused: 0,
    otherwise: [],
    wrongIdentity: 0,
    signedOut: 0,
    lost: 0,
    slowestMs: 0,
  }
  /** One for each store. */
  readonly engines: readonly Sessions[]
  /** As processes behind a balancer: each request goes to the next. */
  readonly #processes: readonly Process[]
  /** Without a near cache: what it says is what is stored. */
  readonly #strict: Sessions
  /** A near cache may not have heard yet what another engine saved, which is no loss. */
  readonly #mayLag: boolean
  readonly #people: Person[] = []
  #requests = 0
  #running = true
  #workers: Promise<void>[] = []

  /**
   * @param stores one, or several over the same records
   * @param options of every engine, such as `nearCache`
   * @param others engines of other processes over the same records
   */
  constructor(
    stores: SessionStore | readonly SessionStore[],
    options: Partial<SessionsOptions> = {},
    others: readonly Process[] = [],
  ) {
    const all = 'read' in stores ? [stores] : stores
    const shared = { secret: SECRET, production: false }
    this.engines = all.map(store => createSessions({ ...shared, ...options, store }))
    this.#strict = createSessions({ ...shared, store: all[0] as SessionStore })
    this.#processes = [...this.engines, ...others]
    this.#mayLag = this.#processes.length > 1 && options.nearCache !== undefined
  }

  /** The first of the engines. */
  get sessions(): Sessions {
    return this.engines[0] as Sessions
  }

  async start(): Promise<void> {
    for (let i = 0; i < PEOPLE; i++) {
      const person = { name: `person-${i}`, browser: new Browser(), acknowledged: 0 }
      await person.browser.login(this.sessions, person.name)
      this.#people.push(person)
    }
    // Each worker has people of its own, so that what one of them saw acknowledged is known.
    this.#workers = Array.from({ length: WORKERS }, (_, i) => this.#work(i))
  }

  /** Stops, has everybody ask once more, strictly, and closes the engines (and with them a store that opened itself). */
  async end(): Promise<Seen> {
    this.#running = false
    await Promise.all(this.#workers)
    for (const person of this.#people) await this.#ask(this.#strict, person, false)
    for (const sessions of this.engines) await sessions.close()
    return this.seen
  }

  /** Resolves when as many requests as there are people were answered and none refused; the milliseconds that it took. */
  async isBack(withinMs = 30_000): Promise<number> {
    const from = performance.now()
    let { answered, refused } = this.seen
    while (performance.now() - from < withinMs) {
      await sleep(50)
      if (this.seen.refused === refused && this.seen.answered - answered > PEOPLE) return performance.now() - from
      if (this.seen.refused !== refused) ({ answered, refused } = this.seen)
    }
    throw new Error(`Not back within ${withinMs} ms: ${JSON.stringify(this.seen)}`)
  }

  async #work(worker: number): Promise<void> {
    for (let turn = 0; this.#running; turn++) {
      const person = this.#people[worker + WORKERS * (turn % (PEOPLE / WORKERS))]
      const process = this.#processes[this.#requests++ % this.#processes.length]
      if (person && process) await this.#ask(process, person, turn % 3 === 0)
    }
  }

  async #ask(sessions: Process, person: Person, saves: boolean): Promise<void> {
    const from = performance.now()
    try {
      const next = person.acknowledged + 1
      const { session } = await person.browser.request(sessions, ({ session }) => {
        this.#check(sessions, person, session.userId, Number(Reflect.get(session, 'count') ?? 0))
        if (saves && session.userId === person.name) Object.assign(session, { count: next })
      })
      this.seen.answered++
      if (!saves || session.userId !== person.name) return
      person.acknowledged = next
      this.seen.saved++
    } catch (error) {
      const isTyped = isCoatcheckError(error) && error.code === 'STORE_UNAVAILABLE' && error.status === 503
      if (isTyped) this.seen.refused++
      else this.seen.otherwise.push(String(error))
      // A refused client does not hammer.
      await sleep(5)
    } finally {
      this.seen.slowestMs = Math.max(this.seen.slowestMs, performance.now() - from)
    }
  }

  #check(sessions: Process, person: Person, userId: string | undefined, count: number): void {
    if (userId === undefined) this.seen.signedOut++
    else if (userId !== person.name) this.seen.wrongIdentity++
    else if (count < person.acknowledged && !(this.#mayLag && sessions !== this.#strict)) this.seen.lost++
  }
}

/** What a test expects of the traffic besides law 6. */
export interface Expected {
  /** No request may take longer, in milliseconds. */
  readonly boundMs: number
  /** What `isBack` took, to be printed. */
  readonly backMs: number
  /** False where a failover may undo what was acknowledged, as the store's page says. Default true. */
  readonly lossless?: boolean
  /** True where the store itself lost its sessions. Default false. */
  readonly emptied?: boolean
}

/** Prints the counts and holds them to law 6: whatever failed was a 503, nobody became somebody else, nobody was signed out. */
export function expectHonest(what: string, seen: Seen, { boundMs, backMs, lossless = true, emptied = false }: Expected): void {
  const { otherwise, ...counts } = seen
  console.log(`${what}: ${JSON.stringify({ ...counts, slowestMs: Math.round(seen.slowestMs), backMs: Math.round(backMs) })}`)
  expect(otherwise).toEqual([])
  expect(seen).toMatchObject({ wrongIdentity: 0, ...(!emptied && { signedOut: 0 }), ...(lossless && { lost: 0 }) })
  expect(seen.slowestMs).toBeLessThan(boundMs)
}
