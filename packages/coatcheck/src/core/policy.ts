import type { SessionRecord } from './record.ts'

/** The two clocks and the touch interval, in milliseconds. */
export interface Clocks {
  /** Ends a session that nobody used for this long. */
  readonly idleMs: number
  /** Ends a session this long after sign-in, used or not. */
  readonly absoluteMs: number
  /** A use is written down at most once in this time. */
  readonly touchEveryMs: number
}

type Lived = Pick<SessionRecord, 'lastSeenAt' | 'expiresAt' | 'remember'>

/** How much longer than its life a record is kept, so that a skewed clock of the backend ends nothing early (law 8). */
const SLACK_MS = 600_000

/** The moment at which the session dies unless it is used again. A remembered one does not idle out. */
function endsAt(record: Lived, clocks: Clocks): number {
  if (record.remember) return record.expiresAt
  return Math.min(record.expiresAt, record.lastSeenAt + clocks.idleMs)
}

/** True from the very moment at which either clock has run out (ASVS 5.0 7.3.1, 7.3.2). */
export function isExpired(record: Lived, clocks: Clocks, now: number): boolean {
  return now >= record.expiresAt || (!record.remember && now >= record.lastSeenAt + clocks.idleMs)
}

/** When a store may throw the record away. */
export function forgetAt(record: Lived, clocks: Clocks): number {
  return endsAt(record, clocks) + SLACK_MS
}

/** True if this use has to be written down. */
export function touchIsDue(record: Lived, clocks: Clocks, now: number): boolean {
  return now - record.lastSeenAt >= clocks.touchEveryMs
}

/** From when on the session has ended, or its use has to be written down. */
export function settledUntil(record: Lived, clocks: Clocks): number {
  return Math.min(endsAt(record, clocks), record.lastSeenAt + clocks.touchEveryMs)
}
