import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isCoatcheckError } from '../../src/core/errors.ts'
import { decodeRecord, encodeRecord, encodeSeenAt, SEEN_AT, type SessionRecord } from '../../src/core/record.ts'
import { ODD_USER_IDS } from '../../src/testing/laws/creation.ts'
import { sampleRecord } from '../../src/testing/records.ts'

const time = fc.integer({ min: 0, max: 36 ** 9 - 1 })
const wellFormed = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 255 }).map(text => text.replaceAll('\0', '0'))
const base64url = (length: number) =>
  fc.string({ unit: fc.constantFrom(...'ABCXYZabcxyz0189-_'), minLength: length, maxLength: length })

const anyRecord: fc.Arbitrary<SessionRecord> = fc.record({
  id: base64url(22),
  version: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  tokenHash: base64url(43),
  userId: fc.option(fc.oneof(wellFormed, fc.constantFrom(...ODD_USER_IDS))),
  userEpoch: fc.oneof(fc.constant(''), base64url(12)),
  generation: base64url(12),
  createdAt: time,
  authenticatedAt: fc.option(time),
  lastSeenAt: time,
  expiresAt: time,
  remember: fc.boolean(),
  ip: fc.option(fc.oneof(fc.ipV4(), fc.ipV6())),
  userAgent: fc.option(wellFormed),
  data: fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()).map(bag => JSON.stringify(bag)),
})

function isForeign(text: string): boolean {
  try {
    decodeRecord('id', text)
    return false
  } catch (error) {
    return isCoatcheckError(error) && error.code === 'FOREIGN_RECORD' && error.status === 503
  }
}

describe('a record as one string', () => {
  test('comes back field by field, and frozen', () => {
    fc.assert(
      fc.property(anyRecord, record => {
        const decoded = decodeRecord(record.id, encodeRecord(record))
        expect(decoded).toEqual(record)
        expect(Object.isFrozen(decoded)).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })

  test('survives the way through UTF-8 bytes', () => {
    fc.assert(
      fc.property(anyRecord, record => {
        const text = Buffer.from(encodeRecord(record), 'utf8').toString('utf8')
        expect(decodeRecord(record.id, text)).toEqual(record)
      }),
    )
  })

  test('has lastSeenAt at the bytes that SEEN_AT names, so that a script may raise it in place', () => {
    fc.assert(
      fc.property(anyRecord, time, (record, later) => {
        const bytes = Buffer.from(encodeRecord(record), 'utf8')
        const { offset, length } = SEEN_AT
        expect(bytes.subarray(offset, offset + length).toString()).toBe(encodeSeenAt(record.lastSeenAt))
        bytes.write(encodeSeenAt(later), offset)
        expect(decodeRecord(record.id, bytes.toString())).toEqual({ ...record, lastSeenAt: later })
      }),
    )
  })

  test('orders lastSeenAt as text like the numbers', () => {
    fc.assert(
      fc.property(time, time, (a, b) => {
        expect(encodeSeenAt(a)).toHaveLength(SEEN_AT.length)
        expect(encodeSeenAt(a) < encodeSeenAt(b)).toBe(a < b)
      }),
    )
  })

  test('is small: what it adds to 120 bytes of data, a user agent and an address', () => {
    const record = sampleRecord({ userId: 'user-123456', generation: 'x'.repeat(12), data: 'd'.repeat(120) })
    const overhead = encodeRecord(record).length - 120 - (record.userAgent ?? '').length - (record.ip ?? '').length
    expect(overhead).toBeLessThanOrEqual(125)
  })
})

const ours = encodeRecord(sampleRecord({ userId: 'alice', generation: 'g', data: '{}' }))

function withField(field: number, value: string): string {
  return ours
    .split('\0')
    .map((part, i) => (i === field ? value : part))
    .join('\0')
}

describe('a value that Coatcheck did not write', () => {
  test.each([
    ['nothing', ''],
    ['JSON of another session library', '{"cookie":{"maxAge":1}}'],
    ['a newer format', ours.replace('c1', 'c2')],
    ['our magic alone', 'c1'],
    ['our separators alone', `c1${'\0'.repeat(13)}`],
    ['a field too few', ours.slice(0, ours.lastIndexOf('\0'))],
    ['a field too many', `${ours}\0`],
    ['a flag that we do not know', withField(10, 'x')],
  ])('%s is refused as foreign', (_, text) => {
    expect(isForeign(text)).toBe(true)
  })

  test.each([
    ['lastSeenAt', 1],
    ['version', 2],
    ['createdAt', 7],
    ['authenticatedAt', 8],
    ['expiresAt', 9],
  ])('a %s that is not written as we write it is refused as foreign', (name, field) => {
    for (const odd of ['-1', '+1', '1.5', '0x1', ' 1', '1 ', '01', '1Z', 'zz!', '-', '\n', '9'.repeat(40)])
      expect(isForeign(withField(field, odd)), JSON.stringify(odd)).toBe(true)
    expect(isForeign(withField(field, '')), 'nothing').toBe(name !== 'authenticatedAt')
  })

  test('a record without a token hash is refused as foreign', () => {
    expect(isForeign(withField(3, ''))).toBe(true)
  })

  test('no text but ours is taken, and what is taken encodes to itself', () => {
    const mutated = fc
      .tuple(fc.nat(ours.length - 1), fc.string({ maxLength: 3 }))
      .map(([at, by]) => ours.slice(0, at) + by + ours.slice(at + 1))
    fc.assert(
      fc.property(fc.oneof(mutated, fc.string({ unit: 'binary' }), fc.string()), text => {
        if (isForeign(text)) return
        expect(encodeRecord(decodeRecord('id', text))).toBe(text)
      }),
      { numRuns: 5000 },
    )
  })

  test('is described without being shown', () => {
    const secret = 'sess:{"passport":{"user":"alice@example.org"}}'
    expect(() => decodeRecord('some-id', secret)).toThrow(/some-id/)
    expect(() => decodeRecord('some-id', secret)).not.toThrow(/alice/)
  })
})
