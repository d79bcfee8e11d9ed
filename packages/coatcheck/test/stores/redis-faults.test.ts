import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startRedis } from '../../../../test/services/redis.ts'
import { type RedisCluster, startRedisCluster } from '../../../../test/services/redis-cluster.ts'
import { service } from '../../../../test/services/service.ts'
import { createSessions } from '../../src/core/sessions.ts'
import { redisStore } from '../../src/stores/redis.ts'
import { Browser, SECRET } from '../core/world.ts'
import { type Connection, clients, clusterClients } from './redis-clients.ts'
import { startTcpProxy } from './tcp-proxy.ts'
import { expectHonest, Traffic } from './traffic.ts'

const redis = await service('redis')
const cluster = await service('redis-cluster')

const TIMEOUT_MS = 1000
const GENERATION = 'cc:generation'
/** A request may need several commands, and a save a second try. */
const BOUND_MS = 8 * TIMEOUT_MS

const open: Connection[] = []
afterEach(() => {
  for (const connection of open.splice(0)) connection.close()
})

async function trafficOver(connection: Connection): Promise<Traffic> {
  open.push(connection)
  const traffic = new Traffic(redisStore(connection.client, { timeoutMs: TIMEOUT_MS }))
  await traffic.start()
  await sleep(300)
  return traffic
}

describe.skipIf(redis.missing).each(Object.entries(clients))('law 6: an outage over %s', (name, connect) => {
  test('Redis killed and restarted under traffic: only 503s, nobody signed out, nothing acknowledged is lost', async () => {
    const server = await startRedis()
    if ('missing' in server) throw new Error(server.missing)
    const traffic = await trafficOver(await connect(server.url))
    await server.kill()
    await sleep(2500)
    await server.restart()
    const backMs = await traffic.isBack()
    const seen = await traffic.end()
    await server.stop()
    expectHonest(`${name}, killed and restarted`, seen, { boundMs: BOUND_MS, backMs })
    expect(seen.refused).toBeGreaterThan(0)
  }, 60_000)

  test('a connection cut in the middle of a reply, ten times under traffic', async () => {
    const server = await startRedis()
    if ('missing' in server) throw new Error(server.missing)
    const proxy = await startTcpProxy(server.port)
    const traffic = await trafficOver(await connect(proxy.url))
    for (let i = 0; i < 10; i++) {
      proxy.cutNextAnswers()
      await sleep(200)
    }
    const backMs = await traffic.isBack()
    const seen = await traffic.end()
    await proxy.close()
    await server.stop()
    expectHonest(`${name}, cut in a reply`, seen, { boundMs: BOUND_MS, backMs })
    expect(proxy.cuts).toBeGreaterThan(0)
    // ioredis asks again by itself.
    if (name === 'redis') expect(seen.refused).toBeGreaterThan(0)
  }, 60_000)

  test('a server that stops answering: every request ends in bounded time', async () => {
    const server = await startRedis()
    if ('missing' in server) throw new Error(server.missing)
    const traffic = await trafficOver(await connect(server.url))
    server.pause()
    await sleep(2500)
    server.resume()
    const backMs = await traffic.isBack()
    const seen = await traffic.end()
    await server.stop()
    expectHonest(`${name}, frozen`, seen, { boundMs: BOUND_MS, backMs })
    expect(seen.refused).toBeGreaterThan(0)
  }, 60_000)
})

describe.skipIf(cluster.missing)('a Cluster', () => {
  let own: RedisCluster
  beforeAll(async () => {
    const started = await startRedisCluster()
    if ('missing' in started) throw new Error(started.missing)
    own = started
  })
  afterAll(() => own?.stop())

  test.each(Object.entries(clusterClients))(
    'law 6: over %s, a master killed under load: its replica takes over, only 503s meanwhile, and a watch is given up',
    async (name, connect) => {
      await own.whole()
      const connection = await connect(own.url)
      const traffic = await trafficOver(connection)
      const victim = await own.masterOf(GENERATION)
      const store = redisStore(connection.client, { timeoutMs: TIMEOUT_MS })
      const watch = store.cannot?.watch === undefined ? await store.watch?.(() => {}) : undefined
      await watch?.prove()
      await victim.kill()
      if (watch) await expect(watch.prove()).rejects.toThrow()
      await sleep(3000)
      const backMs = await traffic.isBack(60_000)
      const seen = await traffic.end()
      expectHonest(`${name}, Cluster master killed`, seen, { boundMs: BOUND_MS, backMs, lossless: false })
      expect(seen.refused).toBeGreaterThan(0)
      await watch?.close()
      await victim.restart()
    },
    120_000,
  )

  test('law 9: a slot that begins to move fails the next proof of a watch, and a new watch is proven', async () => {
    await own.whole()
    const connection = await clusterClients.redis(own.url)
    open.push(connection)
    const store = redisStore(connection.client)
    const watch = await store.watch?.(() => {})
    await watch?.prove()
    const [from, to] = [await own.masterOf(GENERATION), await own.masterOf('another')]
    const slot = await own.cli(from, 'cluster', 'keyslot', GENERATION)
    const moved = await own.cli(from, 'cluster', 'setslot', slot, 'migrating', await own.cli(to, 'cluster', 'myid'))
    expect([from === to, moved]).toEqual([false, 'OK'])
    await expect(watch?.prove()).rejects.toThrow(/changed/)
    const renewed = await store.watch?.(() => {})
    await renewed?.prove()
    await Promise.all([watch?.close(), renewed?.close()])
  }, 60_000)
})

describe.skipIf(redis.missing)('law 6: a process killed between the two steps of a login', () => {
  async function killedLogin(prefix: string, cookie: string): Promise<void> {
    const child = fork(join(import.meta.dirname, 'redis-login-killed.ts'), [redis.url as string, prefix, cookie])
    const [, signal] = await once(child, 'exit')
    expect(signal).toBe('SIGKILL')
  }

  test.each(['nobody', 'a visitor'])(
    'as %s: nobody is signed in by it, and the person can sign in and be signed out',
    async who => {
      const connection = await clients.redis(redis.url as string)
      open.push(connection)
      const prefix = `test:killed:${who}:`
      const sessions = createSessions({ store: redisStore(connection.client, { prefix }), secret: SECRET, production: false })
      const visitor = new Browser()
      if (who === 'a visitor') await visitor.request(sessions, ({ session }) => Object.assign(session, { cart: 'full' }))
      await killedLogin(prefix, visitor.cookie ?? '')
      expect(await visitor.whoAmI(sessions)).toBeUndefined()
      expect(await sessions.list('ann')).toEqual([])
      await visitor.login(sessions, 'ann')
      expect(await visitor.whoAmI(sessions)).toBe('ann')
      expect(await sessions.list('ann')).toHaveLength(1)
      await sessions.revokeUser('ann')
      expect(await visitor.whoAmI(sessions)).toBeUndefined()
    },
  )
})
