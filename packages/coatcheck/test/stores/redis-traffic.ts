import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { isCoatcheckError } from '../../src/core/errors.ts'
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
  readonly sessions: Sessions
  readonly #people: { readonly name: string; readonly browser: Browser; acknowledged: number }[] = []
  #running = true
  #workers: Promise<void>[] = []

  constructor(store: SessionStore) {
    this.sessions = createSessions({ store, secret: SECRET, production: false })
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

  /** Stops, and has everybody ask once more. */
  async end(): Promise<Seen> {
    this.#running = false
    await Promise.all(this.#workers)
    for (const person of this.#people) await this.#ask(person, false)
    return this.seen
  }

  /** Resolves when the next requests are answered again; the milliseconds that it took. */
  async isBack(withinMs = 30_000): Promise<number> {
    const from = performance.now()
    while (performance.now() - from < withinMs) {
      const before = this.seen.refused
      const answered = this.seen.answered
      await sleep(200)
      if (this.seen.refused === before && this.seen.answered - answered > PEOPLE) return performance.now() - from
    }
    throw new Error(`Not back within ${withinMs} ms.`)
  }

  async #work(worker: number): Promise<void> {
    for (let turn = 0; this.#running; turn++) {
      const person = this.#people[worker + WORKERS * (turn % (PEOPLE / WORKERS))]
      if (person) await this.#ask(person, turn % 3 === 0)
    }
  }

  async #ask(person: { name: string; browser: Browser; acknowledged: number }, saves: boolean): Promise<void> {
    const from = performance.now()
    try {
      const next = person.acknowledged + 1
      const { session } = await person.browser.request(this.sessions, ({ session }) => {
        this.#check(person, session.userId, Number(Reflect.get(session, 'count') ?? 0))
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

  #check(person: { name: string; acknowledged: number }, userId: string | undefined, count: number): void {
    if (userId === undefined) this.seen.signedOut++
    else if (userId !== person.name) this.seen.wrongIdentity++
    else if (count < person.acknowledged) this.seen.lost++
  }
}
