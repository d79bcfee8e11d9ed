import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { describe, expect, test } from 'vitest'
import { service } from '../../../../test/services/service.ts'
import { type RedisClient, redisStore } from '../../src/stores/redis.ts'
import { storeLaws } from '../../src/testing/index.ts'
import { later, nextVersion, storedRecord } from '../../src/testing/records.ts'

const redis = await service('redis')

interface Connection {
  readonly client: RedisClient
  set(key: string, value: string): Promise<unknown>
  close(): void
}

const clients: Readonly<Record<string, () => Promise<Connection>>> = {
  async redis() {
    const client = await createClient({ url: redis.url as string }).connect()
    return { client, set: (key, value) => client.set(key, value), close: () => client.destroy() }
  },
  async ioredis() {
    const client = new Redis(redis.url as string)
    return { client, set: (key, value) => client.set(key, value), close: () => client.disconnect() }
  },
}

for (const [name, connect] of Object.entries(clients)) {
  describe.skipIf(redis.missing)(`the redis store over ${name}`, () => {
    async function open() {
      const prefix = `test:${randomUUID()}:`
      const [one, two] = [await connect(), await connect()]
      return {
        store: redisStore(one.client, { prefix }),
        second: () => redisStore(two.client, { prefix }),
        plant: async (id: string) => void (await one.set(`${prefix}s:${id}`, 'of another application')),
        close() {
          one.close()
          two.close()
        },
      }
    }
    for (const law of storeLaws({ open, noPrune: 'Redis forgets by itself' })) test(law.name, law.run)

    // Guard: in redis.ts `#isFiled`.
    test('law 6: a repeated save of a session that outlived its epoch ends nothing', async () => {
      const { store, close } = await open()
      const record = await storedRecord(store, { userId: 'alice' })
      await store.revokeUser('alice', record.id)
      const save = nextVersion(record, { data: '{"a":1}' })
      for (const _try of [1, 2]) expect(await store.replace(save, later())).toBe('saved')
      expect(await store.read(record.id)).toEqual(save)
      expect(await store.listByUser('alice', 9)).toHaveLength(1)
      close()
    })
  })
}
