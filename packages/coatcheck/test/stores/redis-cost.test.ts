import { randomUUID } from 'node:crypto'
import { createClient } from 'redis'
import { describe, expect, test } from 'vitest'
import { startRedis } from '../../../../test/services/redis.ts'
import { service } from '../../../../test/services/service.ts'
import type { SessionRecord } from '../../src/core/record.ts'
import { createSessions } from '../../src/core/sessions.ts'
import type { SessionStore } from '../../src/core/store.ts'
import { placeOf } from '../../src/stores/redis/user-index.ts'
import { redisStore } from '../../src/stores/redis.ts'
import { HOUR_MS, sampleRecord, storedRecord } from '../../src/testing/records.ts'
import { Browser, SECRET } from '../core/world.ts'
import { clients } from './redis-clients.ts'

const redis = await service('redis')

const SESSIONS = 100_000
/** So few that a full machine answers them in time. */
const AT_ONCE = 100
/** What connect-redis 10 takes for the same data and user id, without any index, measured in the same way (Redis 7.0, jemalloc 5.3). */
const CONNECT_REDIS_BYTES = 405

describe.skipIf(redis.missing)('what Redis is asked, by its own MONITOR', () => {
  test('a read is one command, a save and a touch that is due one script each, and an unchanged request writes nothing', async () => {
    const server = await startRedis()
    if ('missing' in server) throw new Error(server.missing)
    const [connection, monitor] = [await clients.redis(server.url), await createClient({ url: server.url }).connect()]
    let ahead = 0
    const options = { secret: SECRET, production: false, touchEvery: '1m', clock: { now: () => Date.now() + ahead } } as const
    const sessions = createSessions({ ...options, store: redisStore(connection.client) })
    const browser = new Browser()
    await browser.login(sessions, 'ann')
    const lines: string[] = []
    await monitor.monitor(line => lines.push(String(line)))
    /** What clients sent; what a script calls is marked `lua`. */
    const sent = async (act: () => Promise<unknown>) => {
      await act()
      await connection.set('mark', '')
      await expect.poll(() => lines.some(line => line.includes('"mark"'))).toBe(true)
      const commands = lines.splice(0).filter(line => !line.includes('"mark"') && !line.includes(' lua]'))
      return commands.map(line => /\] "(\w+)"/.exec(line)?.[1])
    }
    const save = (n: number) => browser.request(sessions, ({ session }) => Object.assign(session, { n }))
    await save(0)
    await sent(async () => {})
    expect(await sent(() => browser.request(sessions))).toEqual(['MGET'])
    expect(await sent(() => save(1))).toEqual(['MGET', 'EVALSHA'])
    ahead += 61_000
    await browser.request(sessions)
    ahead += 61_000
    await sent(async () => {})
    expect(await sent(() => browser.request(sessions)), 'a touch that is due').toEqual(['MGET', 'EVALSHA'])
    expect(await sent(() => browser.request(sessions)), 'none that is not').toEqual(['MGET'])
    // Guard: in shared-reads.ts setImmediate.
    const reads = Promise.all([browser, browser, browser].map(one => one.request(sessions)))
    expect(await sent(() => reads), 'three in one turn').toEqual(['MGET'])
    monitor.destroy()
    connection.close()
    await server.stop()
  })

  test('everyone is ended by one command, whether there are 10 sessions or 10,000', async () => {
    const server = await startRedis()
    if ('missing' in server) throw new Error(server.missing)
    const client = await createClient({ url: server.url }).connect()
    const store = redisStore(client)
    for (const count of [10, 10_000]) {
      const { generation } = await store.marks(null)
      await fill(
        store,
        Array.from({ length: count }, (_, i) => fixture(`person-${i}`, generation)),
      )
      await client.configResetStat()
      await store.revokeEveryone()
      const asked = [...(await client.info('commandstats')).matchAll(/cmdstat_((?!config)\S+?):calls=(\d+)/g)].map(
        ([, name, calls]) => [name, calls],
      )
      expect(asked).toEqual([['set', '1']])
    }
    client.destroy()
    await server.stop()
  }, 180_000)

  test('bytes of a signed-in session with 120 bytes of data, its share of the user index included, over 100,000, printed', async () => {
    const server = await startRedis()
    if ('missing' in server) throw new Error(server.missing)
    const client = await createClient({ url: server.url }).connect()
    const store = redisStore(client)
    const usedMemory = async () => Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1])
    const { generation } = await store.marks(null)
    const before = await usedMemory()
    await fill(
      store,
      Array.from({ length: SESSIONS }, (_, i) => fixture(String(SESSIONS + i), generation)),
    )
    const bytes = Math.round(((await usedMemory()) - before) / SESSIONS)
    console.log(`bytes per session in Redis, user index included: ${bytes}`)
    expect(await client.dbSize()).toBeGreaterThan(SESSIONS)
    expect(bytes).toBeLessThan(CONNECT_REDIS_BYTES * 1.25)
    client.destroy()
    await server.stop()
  }, 180_000)

  // Guard: in scripts.ts the end of FILE.
  test('whoever does not come back leaves the index when others of the bucket sign in', async () => {
    const connection = await createClient({ url: redis.url as string }).connect()
    const prefix = `test:${randomUUID()}:`
    const store = redisStore(connection, { prefix })
    const { bucket } = placeOf('someone')
    const neighbours: string[] = []
    for (let i = 0; neighbours.length < 13; i++) if (placeOf(`person-${i}`).bucket === bucket) neighbours.push(`person-${i}`)
    const [revoked = '', ...gone] = neighbours
    const longAgo = Date.now() - 5 * HOUR_MS
    for (const userId of gone) await storedRecord(store, { userId, createdAt: longAgo - HOUR_MS, expiresAt: longAgo }, longAgo)
    await store.revokeUser(revoked)
    const filed = () => connection.hLen(`${prefix}u:${bucket}`)
    const marked = await store.marks(revoked)
    expect(await filed()).toBeLessThanOrEqual(gone.length + 1)
    const living = await storedRecord(store, { userId: 'someone' })
    for (let i = 0; i < 150; i++) await storedRecord(store, { userId: 'someone' })
    // Whom a random choice has not met in so many logins may be left.
    expect(await filed()).toBeLessThanOrEqual(3)
    expect(await store.marks(revoked)).toEqual(marked)
    expect((await store.listByUser('someone', 1000)).map(({ id }) => id)).toContain(living.id)
    connection.destroy()
  })
})

async function fill(store: SessionStore, records: readonly SessionRecord[]): Promise<void> {
  for (let i = 0; i < records.length; i += AT_ONCE)
    await Promise.all(records.slice(i, i + AT_ONCE).map(record => store.create(record, record.expiresAt)))
}

function fixture(userId: string, generation: string) {
  const now = Date.now()
  return sampleRecord({
    userId,
    generation,
    createdAt: now,
    authenticatedAt: now,
    ip: '203.0.113.77',
    userAgent: 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
    data: JSON.stringify({ note: 'x'.repeat(109), userId }),
  })
}
