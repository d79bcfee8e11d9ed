import { CoatcheckError } from 'coatcheck'
import { answered, Backend } from './backend.ts'
import type { Count, Limiter, RateLimiter } from './limiter.ts'

/** So many tries in a window of so many seconds. */
export interface Window {
  readonly tries: number
  readonly seconds: number
}

/** A try that was counted. */
export interface Counted {
  /** When the window ends, on `performance.now()`'s clock. */
  readonly endsAt: number
}

/** One within the limit. */
export interface Taken extends Counted {
  readonly taken: true
  /** True for the last try that this window allows. */
  readonly last: boolean
}

/** One beyond the limit: counted all the same, as the backend's one atomic step does. */
export interface Refused extends Counted {
  readonly taken: false
  /** When the window ends, in milliseconds from now. */
  readonly waitMs: number
}

/** A window this near to its end is not given anything back: the answer could arrive in the next one. */
const MARGIN_MS = 1000

/**
 * One limit over one kind of key. Counting is one atomic step of the backend (an INCRBY, an upsert), so that of a
 * thousand parallel tries at a limit of ten, exactly ten are taken, whatever the number of processes.
 */
export class Counter {
  readonly #limiter: RateLimiter
  readonly #window: Window
  readonly #backend: Backend

  constructor(limiter: Limiter, name: string, window: Window, backend = new Backend()) {
    this.#window = window
    this.#backend = backend
    const { tries, seconds } = window
    this.#limiter = limiter.create({ keyPrefix: `coatcheck:tries:${name}:${seconds}`, points: tries, duration: seconds })
    refuseInexact(this.#limiter)
  }

  /**
   * Takes a try.
   *
   * @param late hears of a try that was counted after we had stopped waiting for it
   * @throws CoatcheckError `LIMITER_UNAVAILABLE`
   */
  async take(key: string, late: (counted: Taken | Refused) => void = () => {}): Promise<Taken | Refused> {
    const consume = () => this.#limiter.consume(key).then(asWithin, asBeyond)
    return this.#outcome(await this.#backend.count(consume, answer => late(this.#outcome(answer))))
  }

  #outcome({ within, count }: Answer): Taken | Refused {
    const waitMs = count.msBeforeNext >= 0 ? count.msBeforeNext : this.#window.seconds * 1000
    const endsAt = performance.now() + waitMs
    return within ? { taken: true, endsAt, last: count.consumedPoints >= this.#window.tries } : { taken: false, endsAt, waitMs }
  }

  /**
   * Gives a try back. Only within its window: afterwards it would be a credit to the next one, and whoever times his own
   * correct logins to the end of a window could save up guesses.
   */
  async giveBack(key: string, { endsAt }: Counted): Promise<void> {
    if (performance.now() < endsAt - MARGIN_MS) await answered(() => this.#limiter.reward(key))
  }

  /** Forgets the key's tries. */
  async clear(key: string): Promise<void> {
    await answered(() => this.#limiter.delete(key))
  }
}

interface Answer {
  readonly within: boolean
  readonly count: Count
}

function asWithin(count: Count): Answer {
  return { within: true, count }
}

/** Parts "beyond the limit" from "the backend failed": by shape, since two copies of the library may be loaded. */
function asBeyond(reason: unknown): Answer {
  if (isCount(reason)) return { within: false, count: reason }
  throw reason
}

function isCount(value: unknown): value is Count {
  if (typeof value !== 'object' || value === null || value instanceof Error) return false
  return 'msBeforeNext' in value && 'consumedPoints' in value
}

/** Settings of `rate-limiter-flexible` under which a count is not what was taken minus what was given back. */
const INEXACT = ['insuranceLimiter', 'inMemoryBlockOnConsumed', 'blockDuration', 'execEvenly'] as const

/** Refuses limiters that promise less than "ten of a thousand". */
function refuseInexact(limiter: RateLimiter): void {
  const name = limiter.constructor.name
  // They read, then write: two tries at once count as one.
  if (name.endsWith('NonAtomic')) throw bad(`${name} does not count atomically. Use the atomic limiter of the same backend.`)
  const settings = limiter as Partial<Record<(typeof INEXACT)[number], unknown>>
  const inexact = INEXACT.find(key => Boolean(settings[key]))
  if (inexact === undefined) return
  throw bad(`The option ${inexact} of ${name} makes its counts inexact or, on failure, lets guesses through. Leave it out.`)
}

function bad(message: string): CoatcheckError {
  return new CoatcheckError('BAD_OPTION', `limiter: ${message}`)
}
