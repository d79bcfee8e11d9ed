import assert from 'node:assert/strict'
import type { SessionRecord } from '../../core/record.ts'
import type { SessionStore } from '../../core/store.ts'
import { later, nextVersion, preparedRecord, sampleHash, storedRecord } from '../records.ts'
import type { StoreLaw } from '../store-laws.ts'
import { assertDead, sessionsOf } from './ending.ts'

const ROUNDS = 10
const AT_ONCE = 16

/** Runs `act` for `AT_ONCE` numbers at once, on both stores in turn, so that the calls race within and across connections. */
function atOnce<T>(
  stores: readonly [SessionStore, SessionStore],
  act: (store: SessionStore, i: number) => Promise<T>,
): Promise<T[]> {
  return Promise.all(Array.from({ length: AT_ONCE }, (_, i) => act(stores[i % 2 === 0 ? 0 : 1], i)))
}

function count<T>(answers: readonly T[], wanted: T): number {
  return answers.filter(answer => answer === wanted).length
}

async function several<T>(make: () => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: AT_ONCE }, make))
}

export const raceLaws: readonly StoreLaw[] = [
  {
    law: 3,
    name: 'of many saves of one version at once exactly one is "saved", and it is the one that is stored',
    async prove({ store, second }) {
      const stores = [store, await second()] as const
      for (let round = 0; round < ROUNDS; round++) {
        const first = await storedRecord(store)
        const writes = Array.from({ length: AT_ONCE }, (_, i) =>
          nextVersion(first, { tokenHash: sampleHash(), data: `{"i":${i}}` }),
        )
        const answers = await atOnce(stores, (store, i) => store.replace(writes[i] as SessionRecord, later()))
        assert.equal(count(answers, 'saved'), 1, answers.join())
        assert.equal(count(answers, 'conflict'), AT_ONCE - 1, answers.join())
        const winner = writes[answers.indexOf('saved')]
        for (const reader of stores) assert.deepEqual({ ...(await reader.read(first.id)) }, { ...winner })
      }
    },
  },
  {
    law: 3,
    name: 'parallel writers that read again on conflict lose no change',
    async prove({ store, second }) {
      const stores = [store, await second()] as const
      const { id } = await storedRecord(store)
      await atOnce(stores, async (store, i) => {
        for (let tries = 0; ; tries++) {
          assert.ok(tries < 1000, 'saves keep conflicting although nobody else is left to save')
          const current = await store.read(id)
          assert.ok(current)
          const data = JSON.stringify({ ...JSON.parse(current.data), [`key${i}`]: i })
          if ((await store.replace(nextVersion(current, { data }), later())) === 'saved') return
        }
      })
      const final = await store.read(id)
      assert.equal(Object.keys(JSON.parse(final?.data ?? '{}')).length, AT_ONCE)
      assert.equal(final?.version, AT_ONCE + 1)
    },
  },
  {
    name: 'of many creates of one id at once exactly one is "created"',
    async prove({ store, second }) {
      const stores = [store, await second()] as const
      for (let round = 0; round < ROUNDS; round++) {
        const base = await preparedRecord(store)
        const births = Array.from({ length: AT_ONCE }, (_, i) => ({ ...base, tokenHash: sampleHash(), data: `{"i":${i}}` }))
        const answers = await atOnce(stores, (store, i) => store.create(Object.freeze(births[i] as SessionRecord), later()))
        assert.equal(count(answers, 'created'), 1, answers.join())
        assert.equal(count(answers, 'taken'), AT_ONCE - 1, answers.join())
        assert.deepEqual({ ...(await store.read(base.id)) }, { ...births[answers.indexOf('created')] })
      }
    },
  },
  {
    law: 2,
    name: 'a session that is ended while it is saved and touched does not come back',
    async prove({ store, second }) {
      const stores = [store, await second()] as const
      for (let round = 0; round < ROUNDS; round++) {
        const record = await storedRecord(store, { userId: 'alice' })
        const answers = await atOnce(stores, async (store, i): Promise<unknown> => {
          if (i === AT_ONCE / 2) return store.delete(record.id)
          if (i % 3 === 0) return store.touch(record.id, record.lastSeenAt + i + 1, later())
          return store.replace(nextVersion(record, { data: `{"i":${i}}` }), later())
        })
        assert.equal(answers[AT_ONCE / 2], true)
        await assertDead([record], ...stores)
      }
    },
  },
  {
    law: 9,
    name: 'no login begun before revokeUser outlives it, wherever its create falls',
    async prove({ store, second }) {
      const stores = [store, await second()] as const
      for (let round = 0; round < ROUNDS; round++) {
        const before = await several(() => preparedRecord(store, { userId: 'alice' }))
        await atOnce(stores, async (store, i): Promise<unknown> => {
          if (i === round) return store.revokeUser('alice')
          return store.create(before[i] as SessionRecord, later())
        })
        await assertDead(before, ...stores)
        assert.ok(await storedRecord(store, { userId: 'alice' }), 'a login begun after it lands')
      }
    },
  },
  {
    law: 9,
    name: 'no visit that turns into a login begun before revokeUser outlives it',
    async prove({ store, second }) {
      const stores = [store, await second()] as const
      for (let round = 0; round < ROUNDS; round++) {
        const marks = await store.marks('alice')
        const visits = await several(() => storedRecord(store))
        const answers = await atOnce(stores, async (store, i): Promise<unknown> => {
          if (i === round) return store.revokeUser('alice')
          const login = { ...marks, userId: 'alice', tokenHash: sampleHash() }
          return store.replace(nextVersion(visits[i] as SessionRecord, login), later())
        })
        for (const [i, visit] of visits.entries())
          for (const reader of stores) {
            const found = await reader.read(visit.id)
            assert.notEqual(found?.userId, 'alice', `answer ${String(answers[i])}`)
          }
      }
    },
  },
  {
    law: 9,
    name: 'of two revocations of one person at once, with logins in flight, nothing survives',
    async prove({ store, second }) {
      const stores = [store, await second()] as const
      for (let round = 0; round < ROUNDS; round++) {
        const living = await sessionsOf(store, 'alice', 4)
        const before = await several(() => preparedRecord(store, { userId: 'alice' }))
        await atOnce(stores, async (store, i): Promise<unknown> => {
          if (i % 8 === 3) return store.revokeUser('alice')
          return store.create(before[i] as SessionRecord, later())
        })
        await assertDead([...living, ...before], ...stores)
      }
    },
  },
  {
    law: 9,
    name: 'nothing begun before revokeEveryone outlives it, wherever its create or save falls',
    async prove({ store, second }) {
      const stores = [store, await second()] as const
      for (let round = 0; round < ROUNDS; round++) {
        const before = await several(() => preparedRecord(store, { userId: 'alice' }))
        const living = await several(() => storedRecord(store))
        await atOnce(stores, async (store, i): Promise<unknown> => {
          if (i === round) return store.revokeEveryone()
          if (i % 2) return store.create(before[i] as SessionRecord, later())
          return store.replace(nextVersion(living[i] as SessionRecord, { data: '{"x":1}' }), later())
        })
        await assertDead([...before, ...living], ...stores)
      }
    },
  },
  {
    law: 2,
    name: 'a session that revokeEveryone carries over keeps every save that was acknowledged',
    async prove({ store, second }) {
      const other = await second()
      for (let round = 0; round < ROUNDS; round++) {
        const kept = await storedRecord(store, { userId: 'admin' })
        const save = nextVersion(kept, { data: '{"saved":1}' })
        const [answer] = await Promise.all([store.replace(save, later()), other.revokeEveryone(kept.id)])
        const carried = await store.read(kept.id)
        assert.equal(carried?.data, answer === 'saved' ? save.data : kept.data, answer)
        assert.equal(carried?.generation, (await other.marks(null)).generation)
      }
    },
  },
]
