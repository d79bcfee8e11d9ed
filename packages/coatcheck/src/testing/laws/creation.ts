import assert from 'node:assert/strict'
import { isCoatcheckError } from '../../core/errors.ts'
import type { SessionRecord } from '../../core/record.ts'
import type { SessionStore } from '../../core/store.ts'
import { later, preparedRecord, sampleHash, sampleRecord, storedRecord } from '../records.ts'
import type { StoreLaw } from '../store-laws.ts'

/** Names of people that break stores which paste them into keys, patterns, statements or objects. */
export const ODD_USER_IDS: readonly string[] = [
  '1',
  '0',
  'null',
  'undefined',
  'constructor',
  '__proto__',
  'toString',
  '🧥🎩 emoji 👨‍👩‍👧',
  `quote ' double " back \` slash \\`,
  `'; DROP TABLE coatcheck_sessions; --`,
  'a:b:c|d/e,f;g{h}i[j]*?%_^$',
  '{tag}',
  'with space  and\ttab\r\nand line',
  ' leading and trailing ',
  'É'.normalize('NFC'),
  'É'.normalize('NFD'),
  'user@example.org',
  'USER@example.org',
  '\u202Eright to left\u202C',
  '\uFEFFbyte order mark',
  '-1',
  '9007199254740993',
  'x'.repeat(255),
  'ü'.repeat(127),
  '🧥'.repeat(63),
]

/**
 * A bag as JSON text of exactly `bytes` bytes of UTF-8 (the default limit of core is 256 KiB), written as no serializer
 * writes it: a store that parses what it should keep as text is found out.
 */
export function dataOf(bytes: number): string {
  const odd = JSON.stringify({
    odd: '\0\u0001\b\t\n\r"\\/\u007F\u0085\u00A0\u2028\u2029\uD800\uDFFF\uFEFF\uFFFD\uFFFF🧥👨‍👩‍👧é',
    "quote's": '\\u0000',
  })
  const frame = `{"__proto__":{"a":1}, "z":1.0e2,"10":0,"9":-0,"z":"\\u0041\\/","a":${odd},"b":""}`
  const fill = bytes - Buffer.byteLength(frame)
  return `${frame.slice(0, -2)}${'🧥'.repeat(Math.floor(fill / 4))}${'x'.repeat(fill % 4)}"}`
}

async function createdAndReadBack(store: SessionStore, other: SessionStore, fields: Partial<SessionRecord>): Promise<void> {
  const record = await storedRecord(store, fields)
  assert.deepEqual({ ...(await store.read(record.id)) }, { ...record })
  assert.deepEqual({ ...(await other.read(record.id)) }, { ...record }, 'through another connection')
}

export const creationLaws: readonly StoreLaw[] = [
  {
    name: 'a record that was never created is undefined, whatever the id',
    async prove({ store }) {
      for (const id of [sampleRecord().id, '', 'x', '__proto__', "' OR 1=1 --", '*', '{}', 'x'.repeat(1000), '🧥'])
        assert.equal(await store.read(id), undefined, id)
    },
  },
  {
    name: 'what was created is read back field by field, at once, through every connection',
    async prove({ store, second }) {
      const other = await second()
      await createdAndReadBack(store, other, {})
      await createdAndReadBack(store, other, { userId: 'alice', remember: true, data: '{"userId":"alice"}' })
      await createdAndReadBack(store, other, { ip: null, userAgent: null, authenticatedAt: null })
      await createdAndReadBack(store, other, {
        ip: '0000:0000:0000:0000:0000:ffff:192.168.100.228',
        userAgent: 'ü"\'\\'.repeat(64),
      })
      await createdAndReadBack(store, other, { version: 1, createdAt: 1, lastSeenAt: 1, expiresAt: 8_640_000_000_000_000 / 4 })
    },
  },
  {
    name: 'a record that was handed out cannot change what is stored',
    async prove({ store }) {
      const record = await storedRecord(store, { userId: 'alice' })
      for (const handed of [await store.read(record.id), await store.read(record.id)]) {
        assert.ok(handed)
        if (!Object.isFrozen(handed)) Object.assign(handed, { userId: 'mallory', tokenHash: sampleHash() })
      }
      assert.deepEqual({ ...(await store.read(record.id)) }, { ...record })
    },
  },
  {
    name: 'data of 256 KiB and of odd characters comes back letter by letter',
    async prove({ store, second }) {
      const other = await second()
      for (const bytes of [400, 262_144]) {
        const data = dataOf(bytes)
        assert.equal(Buffer.byteLength(data), bytes)
        await createdAndReadBack(store, other, { data })
      }
    },
  },
  {
    name: 'odd names of people are kept apart and letter by letter',
    async prove({ store, second }) {
      const other = await second()
      const records: SessionRecord[] = []
      for (const userId of ODD_USER_IDS) records.push(await storedRecord(store, { userId }))
      for (const record of records) assert.deepEqual({ ...(await other.read(record.id)) }, { ...record })
      for (const record of records) {
        assert.deepEqual(await store.revokeUser(record.userId ?? ''), [record.id], record.userId ?? '')
        assert.equal(await other.read(record.id), undefined)
      }
    },
  },
  {
    name: 'creating an id that exists is "taken" and changes nothing',
    async prove({ store, second }) {
      const record = await storedRecord(store, { userId: 'alice', data: '{"first":true}' })
      const usurper = await preparedRecord(store, { id: record.id, userId: 'mallory', data: '{"second":true}' })
      assert.equal(await store.create(usurper, later()), 'taken')
      assert.equal(await (await second()).create(usurper, later()), 'taken')
      assert.deepEqual({ ...(await store.read(record.id)) }, { ...record })
    },
  },
  {
    name: 'an id that was ended can be created again',
    async prove({ store }) {
      const record = await storedRecord(store)
      await store.delete(record.id)
      assert.equal(await store.create(record, later()), 'created')
      assert.deepEqual({ ...(await store.read(record.id)) }, { ...record })
    },
  },
  {
    name: 'there is no epoch and one lasting generation until somebody is revoked',
    async prove({ store, second }) {
      const marks = await store.marks('alice')
      assert.equal(marks.userEpoch, '')
      assert.ok(marks.generation.length >= 8, 'a generation is random text, never empty')
      assert.deepEqual({ ...(await (await second()).marks('bob')) }, { ...marks })
      assert.deepEqual({ ...(await store.marks(null)) }, { ...marks })
    },
  },
  {
    law: 2,
    name: 'a record of a generation that is not the current one is refused',
    async prove({ store, second }) {
      const { generation } = await store.marks(null)
      for (const foreign of ['', 'x', `${generation}a`, generation.slice(1)]) {
        const record = sampleRecord({ generation: foreign })
        assert.equal(await store.create(record, later()), 'refused', foreign)
        assert.equal(await (await second()).read(record.id), undefined)
      }
    },
  },
  {
    law: 2,
    name: 'a login under an epoch that is not the current one is refused',
    async prove({ store, second }) {
      const other = await second()
      await store.revokeUser('alice')
      const { userEpoch, generation } = await other.marks('alice')
      assert.ok(userEpoch.length >= 8, 'an epoch is random text')
      for (const old of ['', 'x', userEpoch.slice(1)]) {
        const record = sampleRecord({ userId: 'alice', userEpoch: old, generation })
        assert.equal(await other.create(record, later()), 'refused', JSON.stringify(old))
        assert.equal(await store.read(record.id), undefined)
      }
      assert.equal(await other.create(sampleRecord({ userId: 'alice', userEpoch, generation }), later()), 'created')
    },
  },
  {
    name: "a visitor's record asks for no epoch, and one person's epoch is nothing to another",
    async prove({ store }) {
      await store.revokeUser('alice')
      const { generation } = await store.marks('bob')
      assert.equal(await store.create(sampleRecord({ userEpoch: 'whatever', generation }), later()), 'created')
      assert.equal(await store.create(sampleRecord({ userId: 'bob', generation }), later()), 'created')
    },
  },
  {
    name: "another application's value under our key is a typed error, and is left alone",
    async prove({ store, plant }, { noPlant }) {
      if (noPlant !== undefined) return assert.equal(plant, undefined, 'a space that has a plant must be held to it')
      assert.ok(plant, 'no plant, and no reason (noPlant) given')
      const id = sampleRecord().id
      await plant(id)
      await assert.rejects(async () => store.read(id), isForeign)
      const record = await preparedRecord(store, { id })
      await assert.doesNotReject(async () => {
        const answer = await store.create(record, later()).catch(error => (isForeign(error) ? 'taken' : Promise.reject(error)))
        assert.equal(answer, 'taken')
      })
      await assert.rejects(async () => store.read(id), isForeign)
    },
  },
]

function isForeign(error: unknown): boolean {
  return isCoatcheckError(error) && error.code === 'FOREIGN_RECORD'
}
