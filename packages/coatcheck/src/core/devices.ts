import type { Clocks } from './policy.ts'
import { isExpired } from './policy.ts'
import type { SessionRecord } from './record.ts'
import type { Bag } from './session-data.ts'

/** A session as lists show it: public, without data and without anything that could sign in (law 5). */
export interface SessionInfo {
  readonly id: string
  /** null for a visitor. */
  readonly userId: string | null
  /** When this sign-in, or visit, began. */
  readonly createdAt: Date
  /** When the person last proved who they are. */
  readonly authenticatedAt: Date | null
  /** At most `touchEvery` behind the truth. */
  readonly lastSeenAt: Date
  /** The absolute end; idling may end it before. */
  readonly expiresAt: Date
  readonly remember: boolean
  /** Where it began. */
  readonly ip: string | null
  /** For you to shorten ("Chrome on macOS"): a device list does not show it whole. */
  readonly userAgent: string | null
}

/** A session with its data, for those who may see it. */
export interface SessionDetails extends SessionInfo {
  readonly data: Bag
}

/** One of the person's own sessions. */
export interface Device extends SessionInfo {
  /** True for the session that asks. */
  readonly current: boolean
}

/** What a list may show of a record. */
export function infoOf(record: SessionRecord): SessionInfo {
  return {
    id: record.id,
    userId: record.userId,
    createdAt: new Date(record.createdAt),
    authenticatedAt: record.authenticatedAt === null ? null : new Date(record.authenticatedAt),
    lastSeenAt: new Date(record.lastSeenAt),
    expiresAt: new Date(record.expiresAt),
    remember: record.remember,
    ip: record.ip,
    userAgent: record.userAgent,
  }
}

/** The record with its data parsed. */
export function detailsOf(record: SessionRecord): SessionDetails {
  return { ...infoOf(record), data: JSON.parse(record.data) as Bag }
}

/** Only those that either clock has not ended yet. */
export function aliveAmong(records: readonly SessionRecord[], clocks: Clocks, now: number): readonly SessionRecord[] {
  return records.filter(record => !isExpired(record, clocks, now))
}

/** A person's device list: this one first, then the latest seen. */
export function devicesOf(records: readonly SessionRecord[], currentId: string): readonly Device[] {
  return records
    .map(record => ({ ...infoOf(record), current: record.id === currentId }))
    .sort((a, b) => Number(b.current) - Number(a.current) || b.lastSeenAt.getTime() - a.lastSeenAt.getTime())
}
