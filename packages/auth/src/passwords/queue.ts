import { availableParallelism } from 'node:os'
import { CoatcheckError } from 'coatcheck'

/** How much is given to the hashing threads at once, and how much may wait. */
export interface QueueLimits {
  /** What they have in hand: the hashes that are computed, and the next ones. */
  readonly inHand: number
  /** Tries that may wait for their turn; as many again of those that go first. */
  readonly longest: number
}

/** Who goes first: people whom we know, before strangers. A flood of strangers then never keeps them out. */
export type Turn = 'known' | 'stranger'

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
  readonly #waiting: Readonly<Record<Turn, (() => void)[]>> = { known: [], stranger: [] }
  #running = 0
  #meanMs = FIRST_GUESS_MS

  constructor(limits: QueueLimits) {
    this.#limits = limits
  }

  /** Tries that wait for their turn, and those that the threads have in hand. */
  get load(): { readonly waiting: number; readonly running: number } {
    return { waiting: this.#waiting.known.length + this.#waiting.stranger.length, running: this.#running }
  }

  /**
   * Runs `work` when it is its turn.
   *
   * @throws CoatcheckError `HASHING_OVERLOADED` (503) at once if the queue is full; `retryAfter` is the time, in
   *   seconds, in which what is queued will be done at today's speed
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
    const waiting = this.#waiting[turn]
    if (waiting.length >= this.#limits.longest) throw this.#overloaded()
    return new Promise(resolve => waiting.push(resolve))
  }

  /** Hands the place on, so that nobody who comes later slips in between. */
  #next(): void {
    const next = this.#waiting.known.shift() ?? this.#waiting.stranger.shift()
    if (next === undefined) this.#running--
    else next()
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
