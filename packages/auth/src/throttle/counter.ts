import { CoatcheckError } from 'coatcheck'
import type { Count, Limiter, RateLimiter } from './limiter.ts'

/** So many tries in a window of so many seconds. */
export interface Window {
  readonly tries: number
  readonly seconds: number
}

/** A try that was counted. */
export interface Taken {
  readonly taken: true
  /** True for the last try that this window allows. */
  readonly last: boolean
  /** When the window ends, on `performance.now()`'s clock. */
  readonly endsAt: number
}

/** A try that is beyond the limit. */
export interface Refused {
  readonly taken: false
  /** When the window ends, in milliseconds from now. */
  readonly waitMs: number
}

/** A backend that says nothing for so long is down. */
const ANSWERS_WITHIN_MS = 3000
/** A window this near to its end is not given anything back: the answer could arrive in the next one. */
const MARGIN_MS = 1000

/**
 * One limit over one kind of key. Counting is one atomic step of the backend (an INCRBY, an upsert), so that of a
 * thousand parallel tries at a limit of ten, exactly ten are taken, whatever the number of processes.
 */
export class Counter {
  readonly #limiter: RateLimiter
  readonly #window: Window

  constructor(limiter: Limiter, name: string, window: Window) {
    this.#window = window
    const { tries, seconds } = window
    this.#limiter = limiter.create({ keyPrefix: `coatcheck:tries:${name}:${seconds}`, points: tries, duration: seconds })
    refuseInexact(this.#limiter)
  }

  /**
   * Takes a try.
   *
   * @throws CoatcheckError `LIMITER_UNAVAILABLE`
   */
  async take(key: string): Promise<Taken | Refused> {
    const answer = await answerOf(this.#limiter.consume(key))
    const waitMs = answer.count.msBeforeNext >= 0 ? answer.count.msBeforeNext : this.#window.seconds * 1000
    if (!answer.within) return { taken: false, waitMs }
    return { taken: true, last: answer.count.consumedPoints >= this.#window.tries, endsAt: performance.now() + waitMs }
  }

  /**
   * Gives a try back. Only within its window: afterwards it would be a credit to the next one, and whoever times his own
   * correct logins to the end of a window could save up guesses.
   */
  async giveBack(key: string, { endsAt }: Taken): Promise<void> {
    if (performance.now() < endsAt - MARGIN_MS) await answerOf(this.#limiter.reward(key))
  }

  /** Forgets the key's tries. */
  async clear(key: string): Promise<void> {
    await answerOf(this.#limiter.delete(key))
  }
}

interface Answer {
  readonly within: boolean
  readonly count: Count
}

const NOTHING: Count = { consumedPoints: 0, msBeforeNext: -1 }

/** Parts "beyond the limit" from "the backend failed": by shape, since two copies of the library may be loaded. */
async function answerOf(call: Promise<unknown>): Promise<Answer> {
  try {
    const count = await within(ANSWERS_WITHIN_MS, call)
    return { within: true, count: isCount(count) ? count : NOTHING }
  } catch (reason) {
    if (isCount(reason)) return { within: false, count: reason }
    throw unavailable(reason)
  }
}

/** The one answer to a backend that fails: nobody's password is checked uncounted. */
export function unavailable(cause: unknown): CoatcheckError {
  return new CoatcheckError('LIMITER_UNAVAILABLE', 'The login throttle cannot count, so no password is checked. Try again.', {
    cause,
    retryAfter: 1,
  })
}

function isCount(value: unknown): value is Count {
  return (
    typeof value === 'object' &&
    value !== null &&
    !(value instanceof Error) &&
    'msBeforeNext' in value &&
    'consumedPoints' in value
  )
}

async function within<Result>(ms: number, call: Promise<Result>): Promise<Result> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms)
  try {
    return await Promise.race([call, late])
  } finally {
    clearTimeout(timer)
  }
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
  if (inexact !== undefined)
    throw bad(`The option ${inexact} of ${name} makes its counts inexact or, on failure, lets guesses through. Leave it out.`)
}

function bad(message: string): CoatcheckError {
  return new CoatcheckError('BAD_OPTION', `limiter: ${message}`)
}
