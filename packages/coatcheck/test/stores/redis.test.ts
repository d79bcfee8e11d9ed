import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createClient } from 'redis'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { service } from '../../../../test/services/service.ts'
import { placeOf } from '../../src/stores/redis/user-index.ts'
import { redisStore } from '../../src/stores/redis.ts'
import { storeLaws } from '../../src/testing/index.ts'
import { HOUR_MS, later, nextVersion, preparedRecord, storedRecord } from '../../src/testing/records.ts'
import { clients, openSpace } from './redis-clients.ts'

const redis = await service('redis')

for (const [name, connect] of Object.entries(clients)) {
  describe.skipIf(redis.missing)(`the redis store over ${name}`, () => {
    const open = () => openSpace(connect, redis.url as string)
    for (const law of storeLaws({ open, noPrune: 'Redis forgets by itself' })) test(law.name, law.run)

    // Guard: in redis.ts revokeEveryone, one step but on a Cluster.
    test('law 2: whom revokeEveryone spares is there throughout, and outlives another one at the same time', async () => {
      const { store, second, close } = await open()
      const other = await second()
      const { id } = await storedRecord(store, { userId: 'admin' })
      const gone = await storedRecord(store, { userId: 'alice' })
      let [isOver, missed] = [false, 0]
      const reading = (async () => {
        while (!isOver) if ((await other.read(id)) === undefined) missed++
      })()
      try {
        for (let round = 0; round < 50; round++) await Promise.all([store.revokeEveryone(id), other.revokeEveryone(id)])
      } finally {
        isOver = true
      }
      await reading
      expect(missed).toBe(0)
      expect(await store.read(id)).toBeDefined()
      expect(await store.read(gone.id)).toBeUndefined()
      await close()
    })

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

    // Guard: in redis.ts `#fileAgain` files whatever the epoch.
    test('law 9: who signs in again in a session that outlived its epoch is on file for longer', async () => {
      const { store, close } = await open()
      const record = await storedRecord(store, { userId: 'alice', expiresAt: Date.now() - 5 * HOUR_MS })
      await store.revokeUser('alice', record.id)
      expect(await store.replace(nextVersion(record, { expiresAt: later() }), later())).toBe('saved')
      const next = await storedRecord(store, { userId: 'alice' })
      expect([...(await store.revokeUser('alice'))].sort()).toEqual([record.id, next.id].sort())
      await close()
    })

    // Guard: in scripts.ts the clock is the server's.
    test('law 9: a process whose clock is days ahead or behind drops nobody from a list, and no mark of a revocation', async () => {
      const { store, second, close } = await open()
      const other = await second()
      const isNear = (name: string) => placeOf(name).bucket === placeOf('bob').bucket
      const neighbour = Array.from({ length: 200_000 }, (_, i) => `person-${i}`).find(isNear) ?? ''
      const alices = await storedRecord(store, { userId: 'alice', expiresAt: later() })
      const overtaken = await preparedRecord(store, { userId: 'bob' })
      for (const days of [-3, 3]) {
        vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + days * 24 * HOUR_MS })
        try {
          await other.revokeUser('bob')
          await storedRecord(other, { userId: 'alice' })
        } finally {
          vi.useRealTimers()
        }
        await storedRecord(store, { userId: neighbour })
        expect((await store.listByUser('alice', 9)).map(({ id }) => id)).toContain(alices.id)
        expect(await store.create(overtaken, later())).toBe('refused')
      }
      await close()
    })
  })
}

describe.skipIf(redis.missing)('the redis store, cut off between its steps', () => {
  // Guard: in redis.ts a save that is repeated is filed again.
  test('law 9: who signs in again and is cut off before that is filed is filed by the next try', async () => {
    const redisClient = await createClient({ url: redis.url as string }).connect()
    let armed = false
    const client = {
      async sendCommand(...[args, options]: Parameters<typeof redisClient.sendCommand>): Promise<unknown> {
        if (armed) throw new Error('cut off')
        return redisClient.sendCommand(args, options)
      },
    }
    const store = redisStore(client, { prefix: `test:${randomUUID()}:` })
    // While another session lives, what is filed of this one stays until somebody signs in.
    const first = await storedRecord(store, { userId: 'alice' })
    const born = await storedRecord(store, { userId: 'alice', expiresAt: Date.now() - 5 * HOUR_MS })
    const record = nextVersion(born)
    // Now the server knows the script, so that the next one is a single command.
    expect(await store.replace(record, later())).toBe('saved')
    const again = nextVersion(record, { expiresAt: later() })
    const cut = store.replace(again, later())
    armed = true
    await expect(cut).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    armed = false
    expect(await store.read(again.id)).toEqual(again)
    expect(await store.replace(again, later())).toBe('saved')
    const next = await storedRecord(store, { userId: 'alice' })
    expect([...(await store.revokeUser('alice'))].sort()).toEqual([first.id, record.id, next.id].sort())
    redisClient.destroy()
  })
})

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
