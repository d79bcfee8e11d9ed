import assert from 'node:assert/strict'
import { isCoatcheckError } from '../../core/errors.ts'
import { later, nextVersion, storedRecord } from '../records.ts'
import type { OpenSpace, StoreLaw } from '../store-laws.ts'
import { sessionsOf } from './ending.ts'

/** A law about `watch`; a store that cannot must say so and refuse, or have no such method. */
function watching(name: string, prove: (space: OpenSpace, watch: Watching) => Promise<void>): StoreLaw {
  return {
    name,
    async prove(space) {
      const { store } = space
      if (store.cannot?.watch !== undefined) return assertNoWatch(space)
      assert.ok(store.watch, 'no watch, and no reason (cannot.watch) given')
      const heard: (string | null)[] = []
      const watch = await store.watch(id => heard.push(id))
      try {
        await prove(space, { heard, prove: () => watch.prove(), close: () => watch.close() })
      } finally {
        await watch.close()
      }
    },
  }
}

interface Watching {
  readonly heard: (string | null)[]
  prove(): Promise<void>
  close(): Promise<void>
}

async function assertNoWatch({ store }: OpenSpace): Promise<void> {
  if (store.watch === undefined) return
  await assert.rejects(
    async () => store.watch?.(() => {}),
    error => isCoatcheckError(error) && error.code === 'NOT_SUPPORTED',
  )
}

export const watchLaws: readonly StoreLaw[] = [
  watching('a watch hears every save, end and revocation by anyone before it proves itself', async ({ store, second }, watch) => {
    const other = await second()
    for (const writer of [store, other]) {
      const [saved, deleted, revoked] = [
        await storedRecord(store),
        await storedRecord(store),
        await storedRecord(store, { userId: 'alice' }),
      ]
      await watch.prove()
      watch.heard.length = 0
      assert.equal(await writer.replace(nextVersion(saved), later()), 'saved')
      await writer.delete(deleted.id)
      await writer.revokeUser('alice')
      await watch.prove()
      for (const { id } of [saved, deleted, revoked])
        assert.ok(watch.heard.includes(id) || watch.heard.includes(null), `${id} was not heard`)
    }
  }),
  watching('a watch hears revokeEveryone as null', async ({ second }, watch) => {
    await (await second()).revokeEveryone()
    await watch.prove()
    assert.ok(watch.heard.includes(null))
  }),
  watching('a watch hears a thousand changes without a gap', async ({ store, second }, watch) => {
    const other = await second()
    const records = await sessionsOf(store, 'alice', 50)
    for (let round = 0; round < 20; round++) {
      watch.heard.length = 0
      await Promise.all(records.map(record => other.replace({ ...record, version: record.version + round + 1 }, later())))
      await watch.prove()
      for (const { id } of records) assert.ok(watch.heard.includes(id) || watch.heard.includes(null), `round ${round}: ${id}`)
    }
  }),
  watching('a watch that was closed hears nothing, and proves nothing', async ({ store, second }, watch) => {
    const record = await storedRecord(store)
    await watch.close()
    watch.heard.length = 0
    await (await second()).delete(record.id)
    await assert.rejects(async () => watch.prove())
    assert.deepEqual(watch.heard, [])
  }),
]
