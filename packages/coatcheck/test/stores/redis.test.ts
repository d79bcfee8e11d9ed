import { describe, expect, test } from 'vitest'
import { service } from '../../../../test/services/service.ts'
import { storeLaws } from '../../src/testing/index.ts'
import { later, nextVersion, storedRecord } from '../../src/testing/records.ts'
import { clients, openSpace } from './redis-clients.ts'

const redis = await service('redis')

for (const [name, connect] of Object.entries(clients)) {
  describe.skipIf(redis.missing)(`the redis store over ${name}`, () => {
    const open = () => openSpace(connect, redis.url as string)
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
      await close()
    })
  })
}
