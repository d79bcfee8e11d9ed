import { setImmediate } from 'node:timers'
import type { MaybePromise } from '../core/store.ts'

/** Ids that are asked for together at most. */
const MOST_IDS = 100

/** What a store found: each id's value, or the failure to get that one. */
export type Found<Value> = (id: string) => MaybePromise<Value | undefined>

type Waiting<Value> = PromiseWithResolvers<Value | undefined>

/**
 * Reads that are asked for in one turn of the event loop go to the server together: the driver's work and the round trip
 * are paid once for all of them, and the busier the process, the more share it. None waits for an earlier one's answer, and
 * each is sent after it was asked for, so that it is as strict as if it went alone.
 */
export class SharedReads<Value> {
  readonly #askAll: (ids: readonly string[]) => Promise<Found<Value>>
  #waiting = new Map<string, Waiting<Value>>()

  /** @param askAll rejects where nothing is known of any of these ids */
  constructor(askAll: (ids: readonly string[]) => Promise<Found<Value>>) {
    this.#askAll = askAll
  }

  read(id: string): Promise<Value | undefined> {
    const waiting = this.#waiting.get(id) ?? this.#wait(id)
    return waiting.promise
  }

  #wait(id: string): Waiting<Value> {
    // Behind all that has come in over the network: the requests of one turn are many where it matters.
    if (this.#waiting.size === 0) setImmediate(() => this.#send())
    const waiting: Waiting<Value> = Promise.withResolvers()
    this.#waiting.set(id, waiting)
    if (this.#waiting.size === MOST_IDS) this.#send()
    return waiting
  }

  #send(): void {
    const all = this.#waiting
    this.#waiting = new Map()
    // Sent already, because there were enough of them.
    if (all.size === 0) return
    this.#askAll([...all.keys()]).then(
      found => {
        for (const [id, waiting] of all) settle(waiting, id, found)
      },
      error => {
        for (const { reject } of all.values()) reject(error)
      },
    )
  }
}

/** What is wrong with one id's value is its readers' business alone. */
function settle<Value>({ resolve, reject }: Waiting<Value>, id: string, found: Found<Value>): void {
  try {
    resolve(found(id))
  } catch (error) {
    reject(error)
  }
}
