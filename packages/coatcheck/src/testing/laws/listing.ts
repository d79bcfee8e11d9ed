import assert from 'node:assert/strict'
import { isCoatcheckError } from '../../core/errors.ts'
import type { SessionRecord } from '../../core/record.ts'
import type { SessionStore } from '../../core/store.ts'
import { HOUR_MS, nextVersion, sampleRecord, storedRecord } from '../records.ts'
import type { StoreLaw } from '../store-laws.ts'
import { ODD_USER_IDS } from './creation.ts'
import { sessionsOf } from './ending.ts'

type Listed = 'listByUser' | 'scan'

/** A law about a method that a store may say it cannot have; then its refusal is what is proven. */
function about(method: Listed, law: StoreLaw): StoreLaw {
  return {
    ...law,
    async prove(space, harness) {
      if (space.store.cannot?.[method] === undefined) return law.prove(space, harness)
      return assertRefuses(space.store, method)
    },
  }
}

async function assertRefuses(store: SessionStore, method: Listed): Promise<void> {
  assert.ok(store.cannot?.[method], 'the reason is given')
  const call = method === 'scan' ? () => store.scan(null, 10) : () => store.listByUser('alice', 10)
  await assert.rejects(
    async () => call(),
    error => isCoatcheckError(error) && error.code === 'NOT_SUPPORTED',
  )
}

async function scanned(
  store: SessionStore,
  limit: number,
  betweenPages?: (page: number) => Promise<void>,
): Promise<Map<string, SessionRecord>> {
  const found = new Map<string, SessionRecord>()
  let after: string | null = null
  for (let page = 0; page < 1000; page++) {
    const { records, next } = await store.scan(after, limit)
    assert.ok(records.length <= 2 * limit + 10, `${records.length} records on a page of ${limit}`)
    for (const record of records) found.set(record.id, record)
    if (next === null) return found
    after = next
    await betweenPages?.(page)
  }
  assert.fail('the scan never ends')
}

const plain = (records: readonly SessionRecord[]) => records.map(record => ({ ...record }))

export const listingLaws: readonly StoreLaw[] = [
  about('listByUser', {
    name: 'a list holds the sessions of one person, whole, newest first, at most as many as asked',
    async prove({ store, second }) {
      const now = Date.now()
      const made: SessionRecord[] = []
      for (const age of [3000, 1000, 5000, 2000, 4000])
        made.push(await storedRecord(store, { userId: 'alice', createdAt: now - age }))
      await storedRecord(store, { userId: 'bob' })
      await storedRecord(store)
      const newestFirst = made.toSorted((a, b) => b.createdAt - a.createdAt)
      for (const reader of [store, await second()]) {
        assert.deepEqual(plain(await reader.listByUser('alice', 100)), plain(newestFirst))
        assert.deepEqual(plain(await reader.listByUser('alice', 2)), plain(newestFirst.slice(0, 2)))
        assert.deepEqual(plain(await reader.listByUser('nobody', 100)), [])
      }
    },
  }),
  about('listByUser', {
    name: 'a list follows saves, touches, changes of person and ends at once',
    async prove({ store, second }) {
      const other = await second()
      const [a, b] = (await sessionsOf(store, 'alice', 2)) as [SessionRecord, SessionRecord]
      await store.touch(a.id, a.lastSeenAt + 9, Date.now() + HOUR_MS)
      assert.equal(await store.replace(nextVersion(b, { data: '{"x":1}' }), Date.now() + HOUR_MS), 'saved')
      const [first, last] = await other.listByUser('alice', 10)
      assert.equal(first?.lastSeenAt, a.lastSeenAt + 9)
      assert.equal(last?.data, '{"x":1}')
      const nobodys = nextVersion({ ...b, version: 2 }, { userId: null })
      assert.equal(await store.replace(nobodys, Date.now() + HOUR_MS), 'saved')
      assert.deepEqual(
        (await other.listByUser('alice', 10)).map(record => record.id),
        [a.id],
      )
      await store.delete(a.id)
      assert.deepEqual(await other.listByUser('alice', 10), [])
    },
  }),
  about('listByUser', {
    name: 'a list holds nothing of a dead generation, nor of the revoked',
    async prove({ store, second }) {
      const other = await second()
      await sessionsOf(store, 'alice', 3)
      await store.revokeEveryone()
      assert.deepEqual(await other.listByUser('alice', 10), [])
      const fresh = await storedRecord(store, { userId: 'alice' })
      assert.deepEqual(plain(await other.listByUser('alice', 10)), plain([fresh]))
      await store.revokeUser('alice')
      assert.deepEqual(await other.listByUser('alice', 10), [])
    },
  }),
  about('listByUser', {
    name: 'odd names of people are listed apart',
    async prove({ store }) {
      const records = new Map<string, SessionRecord>()
      for (const userId of ODD_USER_IDS) records.set(userId, await storedRecord(store, { userId }))
      for (const [userId, record] of records) assert.deepEqual(plain(await store.listByUser(userId, 10)), plain([record]), userId)
    },
  }),
  about('scan', {
    name: 'a scan gives every living record, page by page',
    async prove({ store, second }) {
      assert.equal((await scanned(store, 10)).size, 0)
      const made = new Map<string, SessionRecord>()
      for (let i = 0; i < 47; i++) {
        const record = await storedRecord(store, { userId: i % 3 ? `user ${i % 5}` : null })
        made.set(record.id, record)
      }
      for (const [reader, limit] of [
        [store, 10],
        [await second(), 47],
        [store, 1],
        [store, 1000],
      ] as const) {
        const found = await scanned(reader, limit)
        assert.deepEqual([...found.keys()].sort(), [...made.keys()].sort())
        for (const [id, record] of made) assert.deepEqual({ ...found.get(id) }, { ...record })
      }
    },
  }),
  about('scan', {
    name: 'a scan misses nothing that lives throughout, however much comes, changes and goes meanwhile',
    async prove({ store, second }) {
      const other = await second()
      const steady: SessionRecord[] = []
      const leaving: SessionRecord[] = []
      for (let i = 0; i < 30; i++) {
        steady.push(await storedRecord(store, { userId: 'alice' }))
        leaving.push(await storedRecord(store))
      }
      const found = await scanned(store, 5, async page => {
        // Two at a time, so that a store which counts places instead of keeping one skips a steady neighbour too.
        for (const { id } of leaving.slice(2 * page, 2 * page + 2)) await other.delete(id)
        const moved = steady[page]
        if (moved) await other.touch(moved.id, moved.lastSeenAt + 1, Date.now() + HOUR_MS)
        if (page < 30) await storedRecord(other, { userId: 'bob' })
      })
      for (const { id } of steady) assert.ok(found.has(id), `${id} was missed`)
    },
  }),
  about('scan', {
    name: 'a scan gives nothing of a dead generation',
    async prove({ store, second }) {
      await sessionsOf(store, 'alice', 12)
      const kept = await storedRecord(store, { userId: 'admin' })
      await store.revokeEveryone(kept.id)
      assert.deepEqual([...(await scanned(await second(), 5)).keys()], [kept.id])
    },
  }),
  {
    name: 'what the store cannot do, it says with a reason, and refuses',
    async prove({ store }) {
      for (const [method, reason] of Object.entries(store.cannot ?? {})) {
        assert.ok(typeof reason === 'string' && reason.length > 10, `${method}: the reason`)
        if (method === 'listByUser' || method === 'scan') await assertRefuses(store, method)
      }
      assert.ok(store.name.length > 0)
      assert.equal(await store.read(sampleRecord().id), undefined)
    },
  },
]
