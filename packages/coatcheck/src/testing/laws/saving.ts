import assert from 'node:assert/strict'
import { HOUR_MS, later, nextVersion, preparedRecord, sampleHash, storedRecord } from '../records.ts'
import type { StoreLaw } from '../store-laws.ts'
import { dataOf } from './creation.ts'

export const savingLaws: readonly StoreLaw[] = [
  {
    law: 3,
    name: 'a save lands if, and only if, it knew the latest version',
    async prove({ store, second }) {
      const other = await second()
      const first = await storedRecord(store)
      const winner = nextVersion(first, { data: '{"winner":1}' })
      const loser = nextVersion(first, { data: '{"loser":1}' })
      assert.equal(await store.replace(winner, later()), 'saved')
      assert.equal(await other.replace(loser, later()), 'conflict')
      assert.equal(await store.replace(loser, later()), 'conflict')
      assert.deepEqual({ ...(await other.read(first.id)) }, { ...winner })
      assert.equal(await other.replace(nextVersion(winner, { data: '{"winner":1,"loser":1}' }), later()), 'saved')
    },
  },
  {
    law: 3,
    name: 'a version too low, equal but different, or too high is a conflict',
    async prove({ store }) {
      const record = await storedRecord(store, { version: 5 })
      for (const version of [1, 4, 5, 7, 1000])
        assert.equal(await store.replace({ ...record, version, data: '{"x":1}' }, later()), 'conflict', String(version))
      assert.deepEqual({ ...(await store.read(record.id)) }, { ...record })
    },
  },
  {
    law: 6,
    name: 'the same write sent again after its answer was lost is "saved", and landed once',
    async prove({ store, second }) {
      const other = await second()
      const first = await storedRecord(store, { userId: 'alice' })
      const write = nextVersion(first, { tokenHash: sampleHash(), data: '{"x":"🧥"}' })
      assert.equal(await store.replace(write, later()), 'saved')
      assert.equal(await store.replace(write, later()), 'saved')
      assert.equal(await other.replace({ ...write }, later()), 'saved')
      assert.deepEqual({ ...(await store.read(first.id)) }, { ...write })
    },
  },
  {
    law: 6,
    name: 'a write of the same version that differs in hash, person or data is no repetition',
    async prove({ store }) {
      const first = await storedRecord(store, { userId: 'alice', data: '{"x":1}' })
      const landed = nextVersion(first, { tokenHash: sampleHash(), data: '{"x":2}' })
      assert.equal(await store.replace(landed, later()), 'saved')
      for (const difference of [{ tokenHash: sampleHash() }, { userId: 'bob' }, { userId: null }, { data: '{"x":3}' }])
        assert.equal(await store.replace({ ...landed, ...difference }, later()), 'conflict', Object.keys(difference)[0])
      assert.deepEqual({ ...(await store.read(first.id)) }, { ...landed })
    },
  },
  {
    law: 6,
    name: 'the same write sent again after another one followed is a conflict',
    async prove({ store }) {
      const first = await storedRecord(store)
      const write = nextVersion(first, { data: '{"x":1}' })
      const following = nextVersion(write, { data: '{"x":1,"y":1}' })
      assert.equal(await store.replace(write, later()), 'saved')
      assert.equal(await store.replace(following, later()), 'saved')
      assert.equal(await store.replace(write, later()), 'conflict')
      assert.deepEqual({ ...(await store.read(first.id)) }, { ...following })
    },
  },
  {
    law: 2,
    name: 'a save never creates: what was never there or has ended is "gone" and stays away',
    async prove({ store, second }) {
      const other = await second()
      const never = await preparedRecord(store, { userId: 'alice', version: 2 })
      assert.equal(await store.replace(never, later()), 'gone')
      const ended = await storedRecord(store, { userId: 'alice' })
      await other.delete(ended.id)
      for (const version of [1, 2, 3]) assert.equal(await store.replace({ ...ended, version }, later()), 'gone')
      for (const { id } of [never, ended]) assert.equal(await other.read(id), undefined)
    },
  },
  {
    law: 1,
    name: 'a rotation replaces the hash for every connection at once',
    async prove({ store, second }) {
      const other = await second()
      const record = await storedRecord(store)
      assert.equal((await other.read(record.id))?.tokenHash, record.tokenHash)
      const rotated = nextVersion(record, { tokenHash: sampleHash() })
      assert.equal(await store.replace(rotated, later()), 'saved')
      assert.equal((await other.read(record.id))?.tokenHash, rotated.tokenHash)
      assert.equal((await store.read(record.id))?.tokenHash, rotated.tokenHash)
    },
  },
  {
    name: 'a save changes every field that it carries',
    async prove({ store, second }) {
      const first = await storedRecord(store)
      const { userEpoch, generation } = await store.marks('alice')
      const promoted = nextVersion(first, {
        tokenHash: sampleHash(),
        userId: 'alice',
        userEpoch,
        generation,
        createdAt: first.createdAt + 1,
        authenticatedAt: first.createdAt + 1,
        lastSeenAt: first.lastSeenAt + 1,
        expiresAt: first.expiresAt + 1,
        remember: true,
        ip: '2001:db8::7',
        userAgent: 'curl/8',
        data: dataOf(20_000),
      })
      assert.equal(await store.replace(promoted, later()), 'saved')
      assert.deepEqual({ ...(await (await second()).read(first.id)) }, { ...promoted })
      const bare = nextVersion(promoted, { authenticatedAt: null, remember: false, ip: null, userAgent: null, data: '{}' })
      assert.equal(await store.replace(bare, later()), 'saved')
      assert.deepEqual({ ...(await (await second()).read(first.id)) }, { ...bare })
    },
  },
  {
    law: 8,
    name: 'a save only raises lastSeenAt',
    async prove({ store }) {
      const record = await storedRecord(store)
      await store.touch(record.id, record.lastSeenAt + 5000, later())
      const behind = nextVersion(record, { data: '{"slow":1}' })
      assert.equal(await store.replace(behind, later()), 'saved')
      assert.deepEqual({ ...(await store.read(record.id)) }, { ...behind, lastSeenAt: record.lastSeenAt + 5000 })
      const ahead = nextVersion(behind, { lastSeenAt: record.lastSeenAt + 9000 })
      assert.equal(await store.replace(ahead, later()), 'saved')
      assert.equal((await store.read(record.id))?.lastSeenAt, record.lastSeenAt + 9000)
    },
  },
  {
    law: 8,
    name: 'a touch only raises lastSeenAt, and leaves the version and all else',
    async prove({ store, second }) {
      const other = await second()
      const record = await storedRecord(store, { userId: 'alice', data: dataOf(400) })
      await store.touch(record.id, record.lastSeenAt - 1, later())
      assert.deepEqual({ ...(await other.read(record.id)) }, { ...record })
      assert.deepEqual({ ...(await store.read(record.id)) }, { ...record })
      await store.touch(record.id, record.lastSeenAt + 7, later())
      for (const reader of [store, other])
        assert.deepEqual({ ...(await reader.read(record.id)) }, { ...record, lastSeenAt: record.lastSeenAt + 7 })
      await other.touch(record.id, record.lastSeenAt + 6, later())
      assert.deepEqual({ ...(await store.read(record.id)) }, { ...record, lastSeenAt: record.lastSeenAt + 7 })
      const save = nextVersion(record, { data: '{}' })
      assert.equal(await store.replace(save, later()), 'saved', 'a touch is no conflict for a save that was under way')
    },
  },
  {
    law: 2,
    name: 'a touch of what is missing is no error and creates nothing',
    async prove({ store, second }) {
      const never = await preparedRecord(store)
      await store.touch(never.id, never.lastSeenAt, later())
      assert.equal(await store.read(never.id), undefined)
      const ended = await storedRecord(store, { userId: 'alice' })
      await (await second()).delete(ended.id)
      await store.touch(ended.id, ended.lastSeenAt + 1, later())
      assert.equal(await store.read(ended.id), undefined)
    },
  },
  {
    law: 8,
    name: 'a record that ran out on both clocks is still given until it may be forgotten: core judges',
    async prove({ store }) {
      const old = Date.now() - 720 * HOUR_MS
      const record = await storedRecord(store, { createdAt: old, lastSeenAt: old, expiresAt: old + 1 })
      assert.deepEqual({ ...(await store.read(record.id)) }, { ...record })
      assert.equal(await store.replace(nextVersion(record), later()), 'saved')
    },
  },
  {
    law: 2,
    name: 'a save that changes the person meets the rule of a login',
    async prove({ store, second }) {
      const other = await second()
      const visitor = await storedRecord(store, { data: '{"cart":1}' })
      const before = await store.marks('alice')
      await other.revokeUser('alice')
      const overtaken = nextVersion(visitor, { ...before, userId: 'alice', tokenHash: sampleHash() })
      assert.equal(await store.replace(overtaken, later()), 'refused')
      assert.deepEqual({ ...(await other.read(visitor.id)) }, { ...visitor }, 'a refused login leaves the visit as it was')
      const landed = nextVersion(visitor, { ...(await store.marks('alice')), userId: 'alice', tokenHash: sampleHash() })
      assert.equal(await store.replace(landed, later()), 'saved')
      const others = nextVersion(landed, { userId: 'bob', userEpoch: 'x' })
      assert.equal(await store.replace(others, later()), 'refused')
    },
  },
  {
    name: 'a save that does not change the person asks for no epoch',
    async prove({ store }) {
      const mine = await storedRecord(store, { userId: 'alice' })
      await store.revokeUser('alice', mine.id)
      assert.equal(await store.replace(nextVersion(mine, { data: '{"kept":1}' }), later()), 'saved')
    },
  },
]
