import assert from 'node:assert/strict'
import type { SessionRecord } from '../../core/record.ts'
import type { SessionStore } from '../../core/store.ts'
import { HOUR_MS, later, nextVersion, preparedRecord, sampleHash, storedRecord } from '../records.ts'
import type { StoreLaw } from '../store-laws.ts'

/** `count` sessions of one person, the newest first. */
export async function sessionsOf(store: SessionStore, userId: string, count: number): Promise<SessionRecord[]> {
  const now = Date.now()
  return Promise.all(Array.from({ length: count }, (_, i) => storedRecord(store, { userId, createdAt: now - i })))
}

/** Proves that none of these is readable through any of the stores. */
export async function assertDead(records: readonly SessionRecord[], ...stores: readonly SessionStore[]): Promise<void> {
  for (const store of stores) for (const { id } of records) assert.equal(await store.read(id), undefined, `${id} lives`)
}

/** Reads them through each of the stores, so that a store which keeps what it read has it now. */
async function warm(records: readonly SessionRecord[], ...stores: readonly SessionStore[]): Promise<void> {
  for (const store of stores) for (const { id } of records) assert.ok(await store.read(id), `${id} is missing`)
}

const idsOf = (records: readonly SessionRecord[]) => records.map(record => record.id).sort()

export const endingLaws: readonly StoreLaw[] = [
  {
    law: 9,
    name: 'a deleted session is missing at once through every connection, warm or cold',
    async prove({ store, second }) {
      const other = await second()
      const record = await storedRecord(store, { userId: 'alice' })
      await warm([record], store, other)
      assert.equal(await store.delete(record.id), true)
      await assertDead([record], other, store)
    },
  },
  {
    name: 'deleting what is not there is no error and false',
    async prove({ store, second }) {
      const record = await storedRecord(store)
      assert.equal(await store.delete('never-there'), false)
      assert.equal(await store.delete(record.id), true)
      assert.equal(await store.delete(record.id), false)
      assert.equal(await (await second()).delete(record.id), false)
    },
  },
  {
    name: "with a userId, delete ends only what is that person's",
    async prove({ store }) {
      const [alices, visitors] = [await storedRecord(store, { userId: 'alice' }), await storedRecord(store)]
      for (const [id, userId] of [
        [alices.id, 'bob'],
        [alices.id, 'ALICE'],
        [alices.id, ''],
        [visitors.id, 'alice'],
        [visitors.id, ''],
      ] as const)
        assert.equal(await store.delete(id, userId), false, `${userId} must not`)
      assert.ok(await store.read(alices.id))
      assert.ok(await store.read(visitors.id))
      assert.equal(await store.delete(alices.id, 'alice'), true)
      await assertDead([alices], store)
    },
  },
  {
    law: 9,
    name: "revokeUser ends all of one person's sessions, gives their ids, and nobody else's",
    async prove({ store, second }) {
      const other = await second()
      const alices = await sessionsOf(store, 'alice', 25)
      const [bobs, visitors] = [await storedRecord(store, { userId: 'bob' }), await storedRecord(store)]
      await warm(alices, store, other)
      assert.deepEqual([...(await store.revokeUser('alice'))].sort(), idsOf(alices))
      await assertDead(alices, other, store)
      assert.ok(await other.read(bobs.id))
      assert.ok(await other.read(visitors.id))
      assert.deepEqual([...(await store.revokeUser('alice'))], [], 'nothing is left to end')
      assert.deepEqual([...(await store.revokeUser('nobody'))], [])
    },
  },
  {
    law: 9,
    name: 'revokeUser ends, and a list holds, who signed in again in good time, also once their first end is long past',
    async prove({ store, second }) {
      const other = await second()
      const long = 5 * HOUR_MS
      for (const repeated of [false, true]) {
        const born = await storedRecord(store, { userId: 'alice', expiresAt: Date.now() - long })
        const again = nextVersion(born, { tokenHash: sampleHash(), expiresAt: Date.now() + long })
        for (const writer of repeated ? [store, other] : [store])
          assert.equal(await writer.replace(again, Date.now() + long), 'saved')
        // Others' sign-ins, and the same person's, may clean up what has ended.
        await storedRecord(other, { userId: 'bob' })
        const next = await storedRecord(other, { userId: 'alice' })
        if (store.cannot?.listByUser === undefined)
          assert.deepEqual(idsOf(await store.listByUser('alice', 10)), idsOf([again, next]))
        assert.deepEqual([...(await other.revokeUser('alice'))].sort(), idsOf([again, next]))
        await assertDead([again, next], store, other)
      }
    },
  },
  {
    name: 'revokeUser keeps the one session that it is told to, unchanged, if it is theirs',
    async prove({ store, second }) {
      const other = await second()
      const [kept, ...ended] = (await sessionsOf(store, 'alice', 5)) as [SessionRecord, ...SessionRecord[]]
      await warm([kept, ...ended], store, other)
      assert.deepEqual([...(await store.revokeUser('alice', kept.id))].sort(), idsOf(ended))
      await assertDead(ended, other, store)
      assert.deepEqual({ ...(await other.read(kept.id)) }, { ...kept })
    },
  },
  {
    name: "revokeUser keeps nothing of that person's if what it is told to keep is another's, a visitor's or missing",
    async prove({ store }) {
      const [bobs, visitors] = [await storedRecord(store, { userId: 'bob' }), await storedRecord(store)]
      for (const except of [bobs.id, visitors.id, 'never-there', '']) {
        const alices = await sessionsOf(store, 'alice', 2)
        assert.deepEqual([...(await store.revokeUser('alice', except))].sort(), idsOf(alices))
        await assertDead(alices, store)
      }
      assert.ok(await store.read(bobs.id))
      assert.ok(await store.read(visitors.id))
    },
  },
  {
    law: 9,
    name: 'each revocation of a person sets a new epoch, so that a login begun before it is not creatable',
    async prove({ store, second }) {
      const other = await second()
      const epochs = new Set<string>()
      for (const revoker of [store, other, store]) {
        const overtaken = await preparedRecord(store, { userId: 'alice' })
        await revoker.revokeUser('alice')
        for (const store of [revoker, other]) assert.equal(await store.create(overtaken, later()), 'refused')
        epochs.add((await other.marks('alice')).userEpoch)
      }
      assert.equal(epochs.size, 3)
      assert.equal((await store.marks('bob')).userEpoch, '')
      assert.equal((await store.marks(null)).userEpoch, '')
      assert.ok(await storedRecord(store, { userId: 'alice' }))
    },
  },
  {
    law: 9,
    name: 'a session that became this person’s by a save is ended by revokeUser, and one that ceased to be is not',
    async prove({ store }) {
      const visitor = await storedRecord(store)
      const promoted = nextVersion(visitor, { ...(await store.marks('alice')), userId: 'alice', tokenHash: sampleHash() })
      assert.equal(await store.replace(promoted, later()), 'saved')
      const former = await storedRecord(store, { userId: 'alice' })
      const bobs = nextVersion(former, { ...(await store.marks('bob')), userId: 'bob' })
      assert.equal(await store.replace(bobs, later()), 'saved')
      assert.deepEqual([...(await store.revokeUser('alice'))], [promoted.id])
      await assertDead([promoted], store)
      assert.ok(await store.read(bobs.id))
      assert.deepEqual([...(await store.revokeUser('bob'))], [bobs.id])
    },
  },
  {
    law: 9,
    name: 'revokeEveryone ends every session and visit through every connection',
    async prove({ store, second }) {
      const other = await second()
      const all = [
        ...(await sessionsOf(store, 'alice', 3)),
        await storedRecord(store, { userId: 'bob' }),
        await storedRecord(other),
      ]
      await warm(all, store, other)
      await store.revokeEveryone()
      await assertDead(all, other, store)
      const fresh = await storedRecord(other, { userId: 'alice' })
      assert.ok(await store.read(fresh.id))
    },
  },
  {
    law: 2,
    name: 'what was begun before revokeEveryone is neither creatable nor savable nor touchable after it',
    async prove({ store, second }) {
      const other = await second()
      const [visit, login] = [await preparedRecord(store), await preparedRecord(store, { userId: 'alice' })]
      const [visitor, alices] = [await storedRecord(store), await storedRecord(store, { userId: 'alice' })]
      await other.revokeEveryone()
      for (const record of [visit, login]) assert.equal(await store.create(record, later()), 'refused')
      for (const record of [visitor, alices]) assert.equal(await store.replace(nextVersion(record), later()), 'gone')
      assert.equal(
        await store.replace(nextVersion(visitor, { ...(await store.marks('alice')), userId: 'alice' }), later()),
        'gone',
      )
      // A step-up whose login was looked up after the end: its marks are new, and its session is dead all the same.
      assert.equal(await store.replace(nextVersion(alices, await store.marks('alice')), later()), 'gone')
      await store.touch(alices.id, alices.lastSeenAt + 1, later())
      await assertDead([visit, login, visitor, alices], store, other)
    },
  },
  {
    law: 9,
    name: 'each revokeEveryone sets a new generation',
    async prove({ store, second }) {
      const generations = new Set([(await store.marks(null)).generation])
      for (const revoker of [store, await second(), store]) {
        await revoker.revokeEveryone()
        generations.add((await store.marks('alice')).generation)
      }
      assert.equal(generations.size, 4)
    },
  },
  {
    name: 'revokeEveryone carries the one session that it is told to into the new generation, its version raised',
    async prove({ store, second }) {
      const other = await second()
      const [kept, ended] = [await storedRecord(store, { userId: 'admin' }), await storedRecord(store, { userId: 'admin' })]
      await warm([kept, ended], store, other)
      await store.revokeEveryone(kept.id)
      await assertDead([ended], store, other)
      const { generation } = await store.marks(null)
      for (const reader of [store, other])
        assert.deepEqual({ ...(await reader.read(kept.id)) }, { ...kept, generation, version: kept.version + 1 })
      assert.deepEqual(await store.revokeUser('admin'), [kept.id], 'it is still filed under its person')
    },
  },
  {
    law: 2,
    name: 'a save that was in flight when its session was carried over does not take it back to the old generation',
    async prove({ store, second }) {
      const kept = await storedRecord(store, { userId: 'admin' })
      await (await second()).revokeEveryone(kept.id)
      const answer = await store.replace(nextVersion(kept, { data: '{"late":1}' }), later())
      assert.ok(answer === 'conflict' || answer === 'gone', answer)
      const carried = await store.read(kept.id)
      assert.equal(carried?.data, kept.data)
      assert.ok(carried)
      assert.equal(await store.replace(nextVersion(carried, { data: '{"again":1}' }), later()), 'saved')
    },
  },
  {
    law: 2,
    name: 'revokeEveryone told to keep what is missing or dead keeps nothing',
    async prove({ store }) {
      const dead = await storedRecord(store, { userId: 'alice' })
      await store.revokeEveryone('never-there')
      await assertDead([dead], store)
      await store.revokeEveryone(dead.id)
      await assertDead([dead], store)
    },
  },
]
