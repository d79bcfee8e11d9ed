import { CoatcheckError } from './errors.ts'

/**
 * What a store keeps of one session. Plain strings and numbers, frozen, so that it can be handed out without copying.
 *
 * Nothing in it can be used to sign in: `tokenHash` is a SHA-256 of a 256-bit secret that only the browser has (law 5).
 * All times are milliseconds since the epoch, on core's clock.
 */
export interface SessionRecord {
  /** Public, random, 22 characters of base64url (128 bits). Safe to list, log and put into a URL. */
  readonly id: string
  /** 1 when created; each save and each rotation adds one. The compare-and-set of law 3 stands on it. */
  readonly version: number
  /** base64url(SHA-256(secret)), 43 characters. */
  readonly tokenHash: string
  /** Who is signed in; null for a visitor. At most 255 bytes of well-formed UTF-8 without NUL. */
  readonly userId: string | null
  /** The user's epoch when the credentials were looked up; '' where none was set. See `SessionStore.marks`. */
  readonly userEpoch: string
  /** The store's generation when the session began. A record of another generation is dead. */
  readonly generation: string
  /** When this sign-in (or this visit) began. */
  readonly createdAt: number
  /** When the person last proved who they are; null for a visitor. Only login and step-up set it. */
  readonly authenticatedAt: number | null
  /** Arrival of the latest request that was written down; at most `touchEvery` behind the truth. Never falls. */
  readonly lastSeenAt: number
  /** The absolute end, fixed at sign-in; no touch, save or rotation moves it (law 8). */
  readonly expiresAt: number
  /** A remembered login lives until `expiresAt` without idling out, and its cookie outlives the browser window. */
  readonly remember: boolean
  /** Where the session began, as the framework's trust setting tells it; null if unknown. At most 45 characters. */
  readonly ip: string | null
  /** The User-Agent at the beginning, cut to 256 characters; null if none was sent. */
  readonly userAgent: string | null
  /** The bag as JSON text: an object. */
  readonly data: string
}

const MAGIC = 'c1'
const SEPARATOR = '\0'
const FIELDS = 14
/** 36^9 milliseconds: enough until the year 5188, and text of one width compares like the numbers. */
const SEEN_WIDTH = 9

/**
 * Where `lastSeenAt` stands in an encoded record, so that a script on the server can raise it without parsing: base 36,
 * nine characters, comparable as text.
 */
export const SEEN_AT = { offset: MAGIC.length + 1, length: SEEN_WIDTH } as const

/** `lastSeenAt`, whole milliseconds since the epoch, as it stands in an encoded record. */
export function encodeSeenAt(ms: number): string {
  return ms.toString(36).padStart(SEEN_WIDTH, '0')
}

/**
 * A record as one compact string, for stores that keep strings.
 *
 * `c1`, then fields parted by NUL, which no field may hold (core strips it, and JSON text escapes it):
 * seen · version · tokenHash · userId · epoch · generation · created · authenticated · expires · flags · ip · agent · data.
 * The id is the key and is not repeated.
 */
export function encodeRecord(record: SessionRecord): string {
  return [
    MAGIC,
    encodeSeenAt(record.lastSeenAt),
    record.version,
    record.tokenHash,
    record.userId ?? '',
    record.userEpoch,
    record.generation,
    record.createdAt.toString(36),
    record.authenticatedAt?.toString(36) ?? '',
    record.expiresAt.toString(36),
    record.remember ? 'r' : '',
    record.ip ?? '',
    record.userAgent ?? '',
    record.data,
  ].join(SEPARATOR)
}

/**
 * The record that `encodeRecord` made. Strict: what encodes to another text than the given one is not ours.
 *
 * @throws CoatcheckError `FOREIGN_RECORD` for anything else: another application's value, or a newer format.
 */
export function decodeRecord(id: string, text: string): SessionRecord {
  const parts = text.split(SEPARATOR)
  const [
    magic,
    seen,
    version,
    tokenHash,
    userId,
    userEpoch,
    generation,
    created,
    authenticated,
    expires,
    flags,
    ip,
    agent,
    data,
  ] = parts
  const record = {
    id,
    version: whole(version, 10),
    tokenHash: tokenHash ?? '',
    userId: userId || null,
    userEpoch: userEpoch ?? '',
    generation: generation ?? '',
    createdAt: whole(created, 36),
    authenticatedAt: authenticated ? whole(authenticated, 36) : null,
    lastSeenAt: seen === undefined ? Number.NaN : decodeSeenAt(seen),
    expiresAt: whole(expires, 36),
    remember: flags === 'r',
    ip: ip || null,
    userAgent: agent || null,
    data: data ?? '',
  }
  const ours = magic === MAGIC && parts.length === FIELDS && record.tokenHash !== '' && (flags === '' || flags === 'r')
  if (ours && hasWholeNumbers(record)) return Object.freeze(record)
  throw new CoatcheckError('FOREIGN_RECORD', foreign(id, text))
}

function hasWholeNumbers({ version, createdAt, authenticatedAt, lastSeenAt, expiresAt }: SessionRecord): boolean {
  return !Number.isNaN(version + createdAt + (authenticatedAt ?? 0) + lastSeenAt + expiresAt)
}

/** The whole number from 0 on that is written like this and in no other way; NaN if there is none. */
function whole(text: string | undefined, radix: number): number {
  const value = Number.parseInt(text ?? '', radix)
  return value >= 0 && Number.isSafeInteger(value) && value.toString(radix) === text ? value : Number.NaN
}

function decodeSeenAt(text: string): number {
  const value = Number.parseInt(text, 36)
  return value >= 0 && encodeSeenAt(value) === text ? value : Number.NaN
}

function foreign(id: string, text: string): string {
  const what = text.startsWith('c') ? 'a record of another format' : 'a value that Coatcheck did not write'
  return `The store holds ${what} under the session id ${id} (${text.length} characters). Give Coatcheck a prefix, table or database of its own.`
}

/** About what a record takes besides its data. */
const RECORD_BYTES = 600

/** About what a record takes in memory, in bytes. */
export function bytesInMemory(record: SessionRecord): number {
  return RECORD_BYTES + 2 * record.data.length
}
