import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'redis'
import { afterEach, describe, expect, test } from 'vitest'
import { startRedis } from '../../../../test/services/redis.ts'
import type { Server } from '../../../../test/services/server.ts'
import { service } from '../../../../test/services/service.ts'
import { createSessions } from '../../src/core/sessions.ts'
import { type RedisStoreOptions, redisStore } from '../../src/stores/redis.ts'
import { storedRecord } from '../../src/testing/records.ts'
import { Browser, codeOf, SECRET } from '../core/world.ts'
import { clients } from './redis-clients.ts'

const redis = await service('redis')
const CONFIRMED: RedisStoreOptions = { confirmRevocations: { replicas: 1, timeoutMs: 1000 } }

describe.skipIf(redis.missing).each(Object.entries(clients))('a master with a replica over %s', (_name, connect) => {
  const endings: (() => unknown)[] = []
  afterEach(async () => {
    for (const end of endings.splice(0).reverse()) await end()
  })

  async function started(args: readonly string[]): Promise<Server> {
    const server = await startRedis(args)
    if ('missing' in server) throw new Error(server.missing)
    endings.push(() => server.stop())
    return server
  }

  async function pair(args: readonly string[] = []) {
    const master = await started(['--repl-diskless-sync-delay', '0', ...args])
    const replica = await started(['--replicaof', '127.0.0.1', `${master.port}`])
    await expect.poll(() => info(replica, 'replication'), { timeout: 30_000 }).toContain('master_link_status:up')
    return { master, replica }
  }

  async function info(server: Server, section: string): Promise<string> {
    const client = await createClient({ url: server.url }).connect()
    const text = await client.info(section)
    client.destroy()
    return text
  }

  async function storeOn(server: Server, options: RedisStoreOptions = {}) {
    const connection = await connect(server.url)
    endings.push(() => connection.close())
    return redisStore(connection.client, options)
  }

  test('confirmRevocations: what resolved, the replica has, and nothing resolves before', async () => {
    const { master, replica } = await pair()
    const store = await storeOn(master, { confirmRevocations: { replicas: 1, timeoutMs: 1900 } })
    const [one, other] = [await storedRecord(store, { userId: 'ann' }), await storedRecord(store, { userId: 'ann' })]
    const client = await createClient({ url: replica.url }).connect()
    endings.push(() => client.destroy())
    await expect.poll(() => client.exists(`cc:s:${other.id}`), { timeout: 30_000 }).toBe(1)
    /** What it gave, and whether that was before the replica, which stands still, could know. */
    const confirmed = async <Result>(revoke: () => Promise<Result>) => {
      replica.pause()
      let isDone = false
      const revoking = revoke().finally(() => {
        isDone = true
      })
      await sleep(300)
      expect(isDone).toBe(false)
      replica.resume()
      return revoking
    }
    await confirmed(() => store.delete(one.id))
    expect(await client.exists(`cc:s:${one.id}`)).toBe(0)
    expect(await confirmed(() => store.revokeUser('ann'))).toEqual([other.id])
    expect(await client.exists(`cc:s:${other.id}`)).toBe(0)
    const before = await client.get('cc:generation')
    await confirmed(() => store.revokeEveryone())
    const after = await client.get('cc:generation')
    expect([after === before, after]).toEqual([false, (await store.marks(null)).generation])
  }, 60_000)

  test('confirmRevocations: many endings at once with the replica stopped hold up no read for longer than one', async () => {
    const { master, replica } = await pair()
    const store = await storeOn(master, CONFIRMED)
    const [others, monitor] = [await storedRecord(store, { userId: 'bob' }), await createClient({ url: master.url }).connect()]
    endings.push(() => monitor.destroy())
    const records = await Promise.all(Array.from({ length: 10 }, () => storedRecord(store, { userId: 'ann' })))
    const waits: string[] = []
    await monitor.monitor(line => /\] "WAIT"/i.test(String(line)) && waits.push(String(line)))
    replica.pause()
    endings.push(() => replica.resume())
    const ended = Promise.allSettled(records.map(({ id }) => store.delete(id)))
    await sleep(100)
    // Ten waits in a row would be ten seconds, of which a read grants two.
    expect(await store.read(others.id)).toEqual(others)
    for (const { status } of await ended) expect(status).toBe('rejected')
    expect(waits.length).toBeGreaterThan(0)
    expect(waits.length).toBeLessThanOrEqual(3)
    replica.resume()
    await expect.poll(() => codeOf(() => store.revokeUser('ann')), { timeout: 30_000 }).toBeUndefined()
  }, 60_000)

  test('confirmRevocations with the replica stopped: a typed error, in force all the same, and repeated once it is back', async () => {
    const { master, replica } = await pair()
    const store = await storeOn(master, CONFIRMED)
    const sessions = createSessions({ store, secret: SECRET, production: false })
    const browser = new Browser()
    await browser.login(sessions, 'ann')
    const record = await storedRecord(store, { userId: 'bob' })
    replica.pause()
    endings.push(() => replica.resume())
    for (const revoke of [() => sessions.revokeUser('ann'), () => store.delete(record.id)]) {
      await expect(revoke()).rejects.toMatchObject({
        code: 'STORE_UNAVAILABLE',
        message: expect.stringContaining('0 of 1 replicas'),
      })
    }
    expect(await browser.whoAmI(sessions)).toBeUndefined()
    expect(await store.read(record.id)).toBeUndefined()
    replica.resume()
    await expect.poll(() => codeOf(() => sessions.revokeUser('ann')), { timeout: 30_000 }).toBeUndefined()
    await store.delete(record.id)
  }, 60_000)

  test('min-replicas-to-write: without its replica a master takes no login and says why, and answers who is signed in', async () => {
    const { master, replica } = await pair(['--min-replicas-to-write', '1', '--min-replicas-max-lag', '1'])
    const sessions = createSessions({ store: await storeOn(master), secret: SECRET, production: false })
    const browser = new Browser()
    await expect.poll(() => codeOf(() => browser.login(sessions, 'ann')), { timeout: 30_000 }).toBeUndefined()
    await replica.kill()
    await expect.poll(() => info(master, 'replication'), { timeout: 30_000 }).toContain('min_slaves_good_slaves:0')
    const refused = { code: 'STORE_UNAVAILABLE', status: 503, message: expect.stringContaining('min-replicas-to-write') }
    await expect(new Browser().login(sessions, 'bob')).rejects.toMatchObject(refused)
    await expect(sessions.revokeUser('ann')).rejects.toMatchObject(refused)
    expect(await browser.whoAmI(sessions)).toBe('ann')
    await replica.restart()
    await expect.poll(() => codeOf(() => new Browser().login(sessions, 'bob')), { timeout: 60_000 }).toBeUndefined()
  }, 120_000)

  // Guard: in redis.ts `isReadOnly`.
  test('a master that becomes a replica under a living connection answers nothing more, once it has refused a write', async () => {
    const server = await started([])
    const [store, admin] = [await storeOn(server), await createClient({ url: server.url }).connect()]
    endings.push(() => admin.destroy())
    const record = await storedRecord(store, { userId: 'ann' })
    // Nobody is there: it goes on serving what it has.
    await admin.sendCommand(['REPLICAOF', '127.0.0.1', '1'])
    expect(await store.read(record.id)).toEqual(record)
    const refused = { code: 'STORE_UNAVAILABLE', message: expect.stringContaining('read-only replica') }
    await expect(store.touch(record.id, record.lastSeenAt + 1, record.expiresAt)).rejects.toMatchObject(refused)
    for (let i = 0; i < 3; i++) await expect((async () => store.read(record.id))()).rejects.toMatchObject(refused)
    await admin.sendCommand(['REPLICAOF', 'NO', 'ONE'])
    expect(await store.read(record.id)).toEqual(record)
  }, 60_000)

  // Guard: in redis/first-contact.ts the write.
  test('a read-only replica is refused, for reads too: it would serve who was signed out', async () => {
    const { master, replica } = await pair()
    const record = await storedRecord(await storeOn(master))
    const store = await storeOn(replica)
    for (const act of [() => store.read(record.id), () => store.marks(null), () => store.delete(record.id)]) {
      await expect((async () => act())()).rejects.toMatchObject({
        code: 'STORE_UNAVAILABLE',
        message: expect.stringContaining('read-only replica'),
      })
    }
  }, 60_000)
})
