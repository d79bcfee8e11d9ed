import { availableParallelism } from 'node:os'
import { CoatcheckError } from 'coatcheck'

/** How much is given to the hashing threads at once, and how much may wait. */
export interface QueueLimits {
  /** What they have in hand: the hashes that are computed, and the next ones. */
  readonly inHand: number
  /** Strangers' tries that may wait for their turn; as many again of known people's. */
  readonly longest: number
}

/**
 * Who goes first: people whom we know, before strangers. A flood of strangers then never keeps them out; nor does a flood
 * of one who is known keep out another, since each of them (`known` says who) has a turn in turn.
 */
export type Turn = 'stranger' | { readonly known: string }

/** So many known people go in a row while strangers wait: or one of them, with ten parallel logins, would keep all strangers out. */
const MOST_IN_A_ROW = 3
/** A guess for the first `Retry-After`, until hashes have been timed. */
const FIRST_GUESS_MS = 50
/** Weight of the latest hash in the running mean. */
const WEIGHT = 0.1

/**
 * As many hashes at once as leave one core to the event loop.
 *
 * @param cores what the process may use
 */
export function fittingConcurrency(cores = availableParallelism()): number {
  return Math.max(1, cores - 1)
}

/**
 * A bounded queue in front of the hashing threads (law 11). A flood of logins waits here, in the order it came, and never
 * takes the cores or the memory that other requests need: each hash needs 19 MiB while it runs.
 */
export class HashQueue {
  readonly #limits: QueueLimits
  readonly #known = new Lane()
  readonly #strangers = new Lane()
  #inARow = 0
  #running = 0
  #meanMs = FIRST_GUESS_MS

  constructor(limits: QueueLimits) {
    this.#limits = limits
  }

  /** Tries that wait for their turn, and those that the threads have in hand. */
  get load(): { readonly waiting: number; readonly running: number } {
    return { waiting: this.#known.length + this.#strangers.length, running: this.#running }
  }

  /**
   * Runs `work` when it is its turn.
   *
   * @throws CoatcheckError `HASHING_OVERLOADED` (503) if the queue is full: at once, or, where somebody known has more
   *   waiting than others, when one of them takes the last place; `retryAfter` is the time, in seconds, in which what is
   *   queued will be done at today's speed
   */
  async run<Result>(turn: Turn, work: () => Promise<Result>): Promise<Result> {
    await this.#place(turn)
    const startedAt = performance.now()
    try {
      return await work()
    } finally {
      this.#meanMs += WEIGHT * (performance.now() - startedAt - this.#meanMs)
      this.#next()
    }
  }

  #place(turn: Turn): Promise<void> | undefined {
    if (this.#running < this.#limits.inHand) {
      this.#running++
      return undefined
    }
    const [lane, owner] = turn === 'stranger' ? [this.#strangers, ''] : [this.#known, turn.known]
    if (lane.length >= this.#limits.longest) lane.makeRoom(owner, this.#overloaded())
    return new Promise((go, refuse) => lane.push(owner, { go, refuse }))
  }

  /** Hands the place on, so that nobody who comes later slips in between. */
  #next(): void {
    const strangersTurn = this.#inARow >= MOST_IN_A_ROW && this.#strangers.length > 0
    const known = strangersTurn ? undefined : this.#known.shift()
    this.#inARow = known === undefined ? 0 : this.#inARow + 1
    const next = known ?? this.#strangers.shift()
    if (next === undefined) this.#running--
    else next.go()
  }

  #overloaded(): CoatcheckError {
    const { waiting } = this.load
    const waitMs = (waiting * this.#meanMs) / this.#limits.inHand
    return new CoatcheckError(
      'HASHING_OVERLOADED',
      `${waiting} passwords wait to be hashed already; no more are taken. If this lasts without an attack, add cores.`,
      { retryAfter: Math.max(1, Math.ceil(waitMs / 1000)) },
    )
  }
}

interface Waiter {
  readonly go: () => void
  readonly refuse: (error: CoatcheckError) => void
}

/** Who waits, by owner; the owners take turns. */
class Lane {
  readonly #byOwner = new Map<string, Waiter[]>()
  #length = 0

  get length(): number {
    return this.#length
  }

  push(owner: string, waiter: Waiter): void {
    const waiters = this.#byOwner.get(owner)
    if (waiters === undefined) this.#byOwner.set(owner, [waiter])
    else waiters.push(waiter)
    this.#length++
  }

  shift(): Waiter | undefined {
    const [first] = this.#byOwner
    if (first === undefined) return undefined
    const [owner, waiters] = first
    const next = waiters.shift()
    this.#byOwner.delete(owner)
    if (waiters.length > 0) this.#byOwner.set(owner, waiters)
    this.#length--
    return next
  }

  /**
   * Refuses the last of whoever has the most waiting.
   *
   * @throws `error` itself where that would be `owner`, or no better for them than now
   */
  makeRoom(owner: string, error: CoatcheckError): void {
    const longest = [...this.#byOwner.values()].reduce((a, b) => (b.length > a.length ? b : a))
    if (longest.length <= (this.#byOwner.get(owner)?.length ?? 0) + 1) throw error
    longest.pop()?.refuse(error)
    this.#length--
  }
}
