import { CoatcheckError } from '../../core/errors.ts'
import type { SessionRecord } from '../../core/record.ts'
import { packUserAgent, unpackUserAgent } from './user-agent.ts'

/**
 * A record as Redis keeps it: bytes, since every one of them is paid for by every session. Whole numbers are big-endian,
 * times are milliseconds in six bytes, `[n]` is a length in one byte. The id is the key and is not repeated.
 *
 * | at | bytes | |
 * |---|---|---|
 * | 0 | 2 | `c`, and the number of the format |
 * | 2 | 6 | last seen: its place is fixed, so that a script can raise it in place |
 * | 8 | 4 | version |
 * | 12 | 8 | generation |
 * | 20 | 1 | flags |
 * | 21 | 1 + n | [n] user id; none for a visitor |
 * | … | 32 | the token's hash |
 * | … | 6 | created |
 * | … | 6 | expires; after the year 10889 in eight bytes, as a double |
 * | … | 6 | authenticated, if it is neither null nor the same as created |
 * | … | 1 + n | [n] the user's epoch, if there is one |
 * | … | 4, or 1 + n | IP address, if known: version 4, or any as [n] text |
 * | … | 1 + n | [n] User-Agent, if any, its common phrases shortened; of 255 bytes and more, 255 and [n] in two bytes |
 * | … | all | the bag, JSON in UTF-8 |
 */
const MAGIC = 0x63_02
const LAST_SEEN_AT = 2
const VERSION_AT = 8
const GENERATION_AT = 12
const FLAGS_AT = GENERATION_AT + 8
const USER_AT = FLAGS_AT + 1
const HASH_BYTES = 32
const TIME_BYTES = 6
const FAR_TIME_BYTES = 8
const LATEST_NEAR = 2 ** 48 - 1
const LONG_TEXT = 255
/** UTF-8 takes three bytes for a UTF-16 unit at most. */
const MOST_BYTES_A_CHARACTER = 3
/** All fields of a fixed length, and all lengths. */
const MOST_BESIDES_TEXTS = 128

/** What the flags say of the fields that may be left out. */
const REMEMBER = 1
const AUTHENTICATED_AT_BIRTH = 2
const AUTHENTICATED_LATER = 4
const HAS_EPOCH = 8
const HAS_IPV4 = 16
const HAS_OTHER_IP = 32
const HAS_PACKED_AGENT = 64
const EXPIRES_FAR = 128

/** Random bytes in a mark: eight characters of base64url, which is what a record has room for. */
export const MARK_BYTES = 6
export const MARK_LENGTH = 8
const MARK = /^[\w-]{8}$/
/** Stands for a generation that is none of ours, and is none itself. */
const NO_GENERATION = '\0'.repeat(MARK_LENGTH)

/** True for what can be a generation of ours. */
export function isMark(text: string): boolean {
  return MARK.test(text)
}

/** The record, ready to be stored. */
export function encodeRecord(record: SessionRecord): Buffer {
  const { userId, authenticatedAt, createdAt, expiresAt, userEpoch, ip, userAgent } = record
  const packed = userAgent === null ? null : packUserAgent(userAgent)
  const ipv4 = ip === null ? undefined : ipv4Parts(ip)
  const flags =
    when(REMEMBER, record.remember) |
    when(AUTHENTICATED_AT_BIRTH, authenticatedAt === createdAt) |
    when(AUTHENTICATED_LATER, authenticatedAt !== null && authenticatedAt !== createdAt) |
    when(HAS_EPOCH, userEpoch !== '') |
    when(HAS_IPV4, ipv4 !== undefined) |
    when(HAS_OTHER_IP, ip !== null && ipv4 === undefined) |
    when(HAS_PACKED_AGENT, packed !== userAgent) |
    when(EXPIRES_FAR, expiresAt > LATEST_NEAR)
  const writer = new Writer(record, flags)
  writer.text(userId ?? '')
  writer.hash(record.tokenHash)
  writer.time(createdAt)
  if (flags & EXPIRES_FAR) writer.farTime(expiresAt)
  else writer.time(expiresAt)
  if (flags & AUTHENTICATED_LATER) writer.time(authenticatedAt ?? 0)
  if (flags & HAS_EPOCH) writer.text(userEpoch)
  if (ipv4) writer.bytes(ipv4)
  if (flags & HAS_OTHER_IP) writer.text(ip ?? '')
  writer.longText(packed ?? '')
  return writer.end(record.data)
}

/** `lastSeenAt`, whole milliseconds since the epoch, as it stands in an encoded record. */
export function encodeSeenAt(ms: number): Buffer {
  const bytes = Buffer.allocUnsafe(TIME_BYTES)
  bytes.writeUIntBE(ms, 0, TIME_BYTES)
  return bytes
}

/**
 * The record that `encodeRecord` made.
 *
 * @throws CoatcheckError `FOREIGN_RECORD` for anything else: another application's value, or one of another format.
 */
export function decodeRecord(id: string, bytes: Buffer): SessionRecord {
  if (bytes.length < USER_AT || bytes.readUInt16BE() !== MAGIC) throw foreign(id, bytes)
  try {
    return Object.freeze(new Reader(bytes).record(id))
  } catch (cause) {
    // Buffer's own complaint of a place past the end.
    if (cause instanceof RangeError) throw foreign(id, bytes)
    throw cause
  }
}

class Reader {
  readonly #bytes: Buffer
  #at = USER_AT

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  record(id: string): SessionRecord {
    const bytes = this.#bytes
    const flags = bytes.readUInt8(FLAGS_AT)
    const userId = this.#text() || null
    const tokenHash = this.#slice(HASH_BYTES, 'base64url')
    const createdAt = this.#time()
    const expiresAt = flags & EXPIRES_FAR ? this.#farTime() : this.#time()
    const bornWith = flags & AUTHENTICATED_AT_BIRTH ? createdAt : null
    return {
      id,
      version: bytes.readUInt32BE(VERSION_AT),
      tokenHash,
      userId,
      generation: bytes.toString('latin1', GENERATION_AT, FLAGS_AT),
      createdAt,
      authenticatedAt: flags & AUTHENTICATED_LATER ? this.#time() : bornWith,
      lastSeenAt: bytes.readUIntBE(LAST_SEEN_AT, TIME_BYTES),
      expiresAt,
      remember: (flags & REMEMBER) !== 0,
      userEpoch: flags & HAS_EPOCH ? this.#text() : '',
      ip: this.#ip(flags),
      userAgent: this.#agent(flags),
      data: bytes.toString('utf8', this.#at),
    }
  }

  #skip(length: number): number {
    this.#at += length
    if (this.#at > this.#bytes.length) throw new RangeError('The record is cut off.')
    return this.#at
  }

  #time(): number {
    return this.#length(TIME_BYTES)
  }

  #text(): string {
    return this.#slice(this.#length(1), 'utf8')
  }

  #longText(): string {
    const length = this.#length(1)
    return this.#slice(length === LONG_TEXT ? this.#length(2) : length, 'utf8')
  }

  #length(bytes: number): number {
    const from = this.#at
    return this.#bytes.readUIntBE(from, this.#skip(bytes) - from)
  }

  #farTime(): number {
    const from = this.#at
    this.#skip(FAR_TIME_BYTES)
    return this.#bytes.readDoubleBE(from)
  }

  #slice(length: number, encoding: BufferEncoding): string {
    const from = this.#at
    return this.#bytes.toString(encoding, from, this.#skip(length))
  }

  #ip(flags: number): string | null {
    if (flags & HAS_OTHER_IP) return this.#text()
    return flags & HAS_IPV4 ? this.#ipv4() : null
  }

  #agent(flags: number): string | null {
    const text = this.#longText()
    return (flags & HAS_PACKED_AGENT ? unpackUserAgent(text) : text) || null
  }

  #ipv4(): string {
    const [a, b, c, d] = this.#bytes.subarray(this.#at, this.#skip(4))
    return `${a}.${b}.${c}.${d}`
  }
}

/** Writes field after field into one buffer, which is as large as they may need. */
class Writer {
  readonly #buffer: Buffer
  #at = USER_AT

  constructor(record: SessionRecord, flags: number) {
    const { userId, userEpoch, ip, userAgent, data } = record
    const texts = [userId, userEpoch, ip, userAgent, data].reduce((sum, text) => sum + (text?.length ?? 0), 0)
    const head = Buffer.allocUnsafe(MOST_BESIDES_TEXTS + texts * MOST_BYTES_A_CHARACTER)
    head.writeUInt16BE(MAGIC)
    head.writeUIntBE(record.lastSeenAt, LAST_SEEN_AT, TIME_BYTES)
    head.writeUInt32BE(record.version, VERSION_AT)
    head.write(isMark(record.generation) ? record.generation : NO_GENERATION, GENERATION_AT, 'latin1')
    head[FLAGS_AT] = flags
    this.#buffer = head
  }

  time(ms: number): void {
    this.#at = this.#buffer.writeUIntBE(ms, this.#at, TIME_BYTES)
  }

  farTime(ms: number): void {
    this.#at = this.#buffer.writeDoubleBE(ms, this.#at)
  }

  bytes(bytes: readonly number[]): void {
    for (const byte of bytes) this.#buffer[this.#at++] = byte
  }

  hash(hash: string): void {
    const from = this.#at
    this.#at += this.#buffer.write(hash, from, 'base64url')
    const isWhole = this.#at - from === HASH_BYTES && this.#buffer.toString('base64url', from, this.#at) === hash
    if (!isWhole) throw new TypeError('A tokenHash is the base64url of 32 bytes.')
  }

  text(text: string): void {
    const length = this.#buffer.write(text, this.#at + 1)
    if (length > 255) throw new TypeError('A user id, an epoch and an IP address have at most 255 bytes.')
    this.#buffer[this.#at] = length
    this.#at += 1 + length
  }

  longText(text: string): void {
    const length = Buffer.byteLength(text)
    this.bytes(length < LONG_TEXT ? [length] : [LONG_TEXT, length >> 8, length & 0xff])
    this.#at += this.#buffer.write(text, this.#at)
  }

  end(data: string): Buffer {
    return this.#buffer.subarray(0, this.#at + this.#buffer.write(data, this.#at))
  }
}

function when(flag: number, isSo: boolean): number {
  return isSo ? flag : 0
}

/** The four numbers, if the address is written as they would be read again. */
function ipv4Parts(ip: string): readonly number[] | undefined {
  if (ip.length > 15 || ip.includes(':')) return undefined
  const parts = ip.split('.')
  const isCanonical = parts.length === 4 && parts.every(part => Number(part) <= 255 && String(Number(part)) === part)
  return isCanonical ? parts.map(Number) : undefined
}

function foreign(id: string, bytes: Buffer): CoatcheckError {
  const what = bytes[0] === MAGIC >> 8 ? 'a record of another format' : 'a value that Coatcheck did not write'
  return new CoatcheckError(
    'FOREIGN_RECORD',
    `Redis holds ${what} under the session id ${id} (${bytes.length} bytes). Give Coatcheck a prefix or a database of its own.`,
  )
}
