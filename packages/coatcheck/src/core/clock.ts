import { CoatcheckError } from './errors.ts'

/** Where core takes the time from; tests hand in their own. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
}

/** The machine's wall clock. */
export const systemClock: Clock = Object.freeze({ now: () => Date.now() })

/** The clock in whole milliseconds, which is what records hold. */
export function wholeClock(clock: Clock): Clock {
  return Object.freeze({ now: () => Math.floor(clock.now()) })
}

type Unit = 'ms' | 's' | 'm' | 'h' | 'd'

/** Milliseconds as a number, or a number with its unit: `'90s'`, `'30m'`, `'12h'`, `'30d'`. */
export type Duration = number | `${number}${Unit}`

const unitMs: Readonly<Record<Unit, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
/** A cookie's Max-Age is capped at 400 days by browsers (RFC 6265bis §5.5); ten years is surely a mistake in units. */
const LONGEST_MS = 3650 * unitMs.d

/**
 * A duration in milliseconds.
 *
 * @param name the option's name, for the message
 * @throws CoatcheckError `BAD_OPTION` unless it is more than zero and at most ten years
 */
export function durationMs(value: Duration, name: string): number {
  const ms = typeof value === 'number' ? value : parseDuration(value)
  // Records hold whole milliseconds.
  if (Number.isFinite(ms) && ms > 0 && ms <= LONGEST_MS) return Math.ceil(ms)
  throw new CoatcheckError(
    'BAD_OPTION',
    `${name} must be a number of milliseconds above 0 or text such as '30m', '12h' or '30d' (ten years at most); got ${JSON.stringify(value)}.`,
  )
}

function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text)
  if (!match) return Number.NaN
  return Number(match[1]) * unitMs[match[2] as Unit]
}

/** The answer, or a failure that says `otherwise`, after so many milliseconds. Its timer never holds the process. */
export async function within<Answer>(
  ms: number,
  answer: Promise<Answer>,
  otherwise = `ETIMEDOUT: no answer within ${ms} ms`,
): Promise<Answer> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(otherwise)), ms).unref()
  try {
    return await Promise.race([answer, late.promise])
  } finally {
    clearTimeout(timer)
  }
}

const TIME_LIMIT_MS = 2000
/** Where nobody who asked is still there. */
export const LONGEST_TIME_LIMIT_MS = 60_000

/**
 * A store's `timeoutMs`: milliseconds that a call may take, 2000 unless given.
 *
 * @throws CoatcheckError `BAD_OPTION` for what is no such number
 */
export function checkedTimeLimit(store: string, ms: number = TIME_LIMIT_MS): number {
  if (Number.isInteger(ms) && ms >= 1 && ms <= LONGEST_TIME_LIMIT_MS) return ms
  throw new CoatcheckError('BAD_OPTION', `${store}: timeoutMs must be from 1 to ${LONGEST_TIME_LIMIT_MS} milliseconds.`)
}
