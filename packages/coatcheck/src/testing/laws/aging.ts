import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { SessionRecord } from '../../core/record.ts'
import type { SessionStore } from '../../core/store.ts'
import { HOUR_MS, later, nextVersion, storedRecord } from '../records.ts'
import type { StoreLaw } from '../store-laws.ts'
import { assertDead, sessionsOf } from './ending.ts'

/**
 * So many records that may be forgotten soon, all stored well before that; a busy machine gets more time. (A store may
 * forget as soon as it may.)
 */
async function shortLived(store: SessionStore, count: number, leadMs: number): Promise<{ soon: number; old: SessionRecord[] }> {
  const soon = Date.now() + leadMs
  const old: SessionRecord[] = []
  for (let i = 0; i < count; i++) old.push(await storedRecord(store, { userId: i % 2 ? 'alice' : null }, soon))
  if (Date.now() < soon - leadMs / 2) return { soon, old }
  for (const { id } of old) await store.delete(id)
  return shortLived(store, count, leadMs * 3)
}

/** What time does to a record. Two of these wait, on the real clock, for a life of a second to run out; so they stand last. */
export const agingLaws: readonly StoreLaw[] = [
  {
    name: 'prune clears away what is left of dead generations, and never a living session',
    async prove({ store }, { noPrune }) {
      if (noPrune !== undefined) return assert.equal(store.prune, undefined, 'a store that has a prune must be held to it')
      assert.ok(store.prune, 'no prune, and no reason (noPrune) given')
      await sessionsOf(store, 'alice', 7)
      const kept = await storedRecord(store, { userId: 'admin' })
      await store.revokeEveryone(kept.id)
      const fresh = await storedRecord(store, { userId: 'alice' })
      const pruned = await store.prune(Date.now(), 100)
      assert.ok(pruned === 7 || pruned === 0, `${pruned}: all that were left, or none if they went at once`)
      assert.equal(await store.prune(Date.now(), 100), 0)
      for (const { id } of [kept, fresh]) assert.ok(await store.read(id))
    },
  },
  {
    name: 'prune throws away what may be forgotten, at most as many as asked, and nothing else',
    async prove({ store, second }, { noPrune }) {
      if (noPrune !== undefined) return assert.equal(store.prune, undefined, 'a store that has a prune must be held to it')
      assert.ok(store.prune, 'no prune, and no reason (noPrune) given')
      const { soon, old } = await shortLived(store, 25, 1500)
      const [kept, touched] = [await storedRecord(store, { userId: 'alice' }), await storedRecord(store, {}, soon)]
      await store.touch(touched.id, touched.lastSeenAt + 1, soon + HOUR_MS)
      assert.equal(await store.prune(soon - 1, 100), 0, 'not before its time')
      await delay(soon + 100 - Date.now())
      assert.equal(await store.prune(soon + 1, 10), 10)
      assert.equal(await (await second()).prune?.(soon + 1, 10), 10)
      assert.equal(await store.prune(soon + 1, 10), 5)
      assert.equal(await store.prune(soon + 1, 10), 0)
      await assertDead(old, store)
      assert.ok(await store.read(kept.id))
      assert.ok(await store.read(touched.id))
    },
  },
  {
    law: 8,
    name: 'a touch and a save prolong the life of a record, and one that comes late from the past does not shorten it',
    async prove({ store }) {
      const now = Date.now()
      const touched = await storedRecord(store, {}, now + 1000)
      await store.touch(touched.id, touched.lastSeenAt + 1, later())
      const saved = await storedRecord(store, {}, Date.now() + 1000)
      assert.equal(await store.replace(nextVersion(saved), later()), 'saved')
      const touchedLate = await storedRecord(store, { lastSeenAt: now })
      await store.touch(touchedLate.id, now - 1, now - HOUR_MS)
      const soon = Date.now() + 1000
      const savedLate = await storedRecord(store, { lastSeenAt: now }, soon)
      await store.touch(savedLate.id, now + HOUR_MS, soon + HOUR_MS)
      assert.equal(await store.replace(nextVersion(savedLate), soon), 'saved')
      await delay(2500)
      await store.prune?.(Date.now(), 1000)
      for (const [what, { id }] of Object.entries({ touched, saved, 'a late touch': touchedLate, 'a late save': savedLate }))
        assert.ok(await store.read(id), what)
    },
  },
]
