import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createClient } from 'redis'
import { beforeAll, describe, expect, test } from 'vitest'
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

describe.skipIf(redis.missing)('the redis store with the rights that its page lists, and no other', () => {
  const url = Object.assign(new URL(redis.url ?? 'redis://missing'), { username: 'coatcheck', password: 'a-password' })

  beforeAll(async () => {
    const page = readFileSync(join(import.meta.dirname, '../../../../docs/stores/redis.md'), 'utf8')
    const [, listed = ''] = /```text\n(GET [^`]+)```/.exec(page) ?? []
    const commands = listed.match(/\b[A-Z|]{3,}\b/g) ?? []
    expect(commands).toContain('HRANDFIELD')
    const connecting = ['HELLO', 'AUTH']
    const rules = [...commands, ...connecting].map(name => `+${name.toLowerCase()}`)
    const admin = await createClient({ url: redis.url as string }).connect()
    await admin.sendCommand(['ACL', 'SETUSER', 'coatcheck', 'reset', 'on', '>a-password', '~test:*', ...rules])
    admin.destroy()
  })

  const open = () => openSpace(clients.redis, url.href)
  for (const law of storeLaws({ open, noPrune: 'Redis forgets by itself' })) test(law.name, law.run)
})
