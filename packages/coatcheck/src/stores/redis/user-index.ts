import { sha256 } from '../../core/crypto.ts'
import { CoatcheckError } from '../../core/errors.ts'
import { MARK_LENGTH } from './record.ts'

/**
 * One person's sessions, and the mark of their last revocation, as one string in a hash that is shared with others: most
 * people have one session, for which a key of its own, with its expiry, takes 165 bytes, and a place in a small hash 40.
 *
 * `i`, or `e` with the epoch in eight characters and the hour in which it was set in three bytes; then an entry for each
 * session: its id in 16 bytes, and in three the hour (since 1970, rounded up) in which it ends for good.
 */
const ID_BYTES = 16
const HOUR_BYTES = 3
const ENTRY_BYTES = ID_BYTES + HOUR_BYTES
const HOUR_MS = 3_600_000
/** In the year 3883. */
const LAST_HOUR = 2 ** 24 - 1
/** After `i`, and after `e`. */
const ENTRIES_FROM: Readonly<Record<number, number>> = { 105: 1, 101: 1 + MARK_LENGTH + HOUR_BYTES }

/**
 * Buckets that all people share. With up to 128 people in each (two million in all) Redis keeps them packed; beyond,
 * as tables, which still take half of what a key for each person would.
 */
const BUCKETS = 0x4000
const PERSON_BYTES = 12

/** Where a person's index is. */
export interface Place {
  /** Which bucket, as the end of its key. */
  readonly bucket: string
  /** The field of its hash. */
  readonly person: Buffer
}

/** The id is the application's, with any bytes: it is hashed. 112 bits tell people apart. */
export function placeOf(userId: string): Place {
  const hash = Buffer.from(sha256(userId), 'base64url')
  const bucket = hash.readUInt32BE() % BUCKETS
  return { bucket: bucket.toString(36), person: hash.subarray(4, 4 + PERSON_BYTES) }
}

/** What a person's index says. */
export interface UserIndex {
  readonly epoch: string
  /** In the order in which they were filed. */
  readonly ids: readonly string[]
}

/**
 * Reads what is stored under a person's key; nothing is an index without epoch and entries.
 *
 * @throws CoatcheckError `FOREIGN_RECORD` for what we did not write
 */
export function decodeIndex(bytes: Buffer | undefined): UserIndex {
  if (bytes === undefined) return { epoch: '', ids: [] }
  const from = ENTRIES_FROM[bytes[0] ?? 0]
  if (from === undefined || (bytes.length - from) % ENTRY_BYTES !== 0) {
    throw new CoatcheckError(
      'FOREIGN_RECORD',
      "Redis holds a value that Coatcheck did not write as a person's index. Give Coatcheck a prefix or a database of its own.",
    )
  }
  const ids: string[] = []
  for (let at = from; at < bytes.length; at += ENTRY_BYTES) ids.push(bytes.toString('base64url', at, at + ID_BYTES))
  return { epoch: bytes.toString('latin1', 1, Math.min(from, 1 + MARK_LENGTH)), ids }
}

/** An id as an entry has it. */
export function encodeId(id: string): Buffer {
  return Buffer.from(id, 'base64url')
}

/** The whole hours since 1970, rounded up: an entry never ends before its record, but for those that live for ever. */
export function hourOf(ms: number): number {
  return Math.min(Math.ceil(ms / HOUR_MS), LAST_HOUR)
}

/** An hour as an entry has it. */
export function encodeHour(hour: number): Buffer {
  const bytes = Buffer.allocUnsafe(HOUR_BYTES)
  bytes.writeUIntBE(hour, 0, HOUR_BYTES)
  return bytes
}
