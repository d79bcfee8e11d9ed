import { describe, expect, test } from 'vitest'
import { decodeRecord, encodeRecord } from '../../src/stores/redis/record.ts'
import { packUserAgent, unpackUserAgent } from '../../src/stores/redis/user-agent.ts'
import { sampleRecord } from '../../src/testing/records.ts'
import { codeOf } from '../core/world.ts'

const GENERATION = 'abcd-_09'
const CHROME = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36'
const now = Date.now()

describe('a record in bytes', () => {
  test.each([
    ['a visitor', {}],
    ['a login', { userId: 'ann', userEpoch: 'abcdefgh', authenticatedAt: now, createdAt: now, remember: true }],
    ['a step-up', { userId: 'ann', authenticatedAt: now + 5 }],
    ['a user id of 255 bytes, as long as may be', { userId: `${'ü'.repeat(127)}x` }],
    ['an end in the year 70000', { expiresAt: 2_160_000_000_000_000 }],
    ['no address and no User-Agent', { ip: null, userAgent: null }],
    ['an IPv6 address', { ip: '2001:db8:ffff:ffff:ffff:ffff:192.168.100.100' }],
    ['an address in another spelling', { ip: '192.0.02.7' }],
    ['an address that only looks like one', { ip: '1.2.3.4.5' }],
    ['a User-Agent of common phrases', { userAgent: CHROME }],
    ['a User-Agent with a tab', { userAgent: `${CHROME}\tx` }],
    ['a User-Agent with what stands for a phrase', { userAgent: `${CHROME}\x10` }],
    ['a User-Agent of 256 long characters', { userAgent: '🧥'.repeat(128) }],
    ['data with all kinds of characters', { data: JSON.stringify({ text: '\0\n🧥ü\ud800' }) }],
    ['a version of 32 bits', { version: 2 ** 32 - 1 }],
  ])('%s is read as it was written', (_what, fields) => {
    const record = sampleRecord({ generation: GENERATION, ...fields })
    expect(decodeRecord(record.id, encodeRecord(record))).toEqual(record)
  })

  test('cut off anywhere before its data it is foreign, never another record', async () => {
    const bytes = encodeRecord(sampleRecord({ generation: GENERATION, userId: 'ann', userAgent: CHROME, data: '' }))
    for (let length = 0; length < bytes.length; length++)
      expect(await codeOf(() => decodeRecord('id', bytes.subarray(0, length)))).toBe('FOREIGN_RECORD')
  })

  test('a tokenHash that is not 32 bytes is never stored in another spelling', () => {
    expect(() => encodeRecord(sampleRecord({ tokenHash: 'short' }))).toThrow(TypeError)
  })
})

test.each([
  [CHROME, 5],
  ['Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0', 15],
  ['Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0', 10],
  [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 26_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1',
    12,
  ],
  ['curl/8.5.0', 10],
])('%s packs into %i characters, and is the same when unpacked', (agent, length) => {
  expect([packUserAgent(agent).length, unpackUserAgent(packUserAgent(agent))]).toEqual([length, agent])
})
