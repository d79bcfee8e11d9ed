import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { startRedis } from '../../../../test/services/redis.ts'
import { service } from '../../../../test/services/service.ts'
import { createSessions, type Sessions } from '../../src/core/sessions.ts'
import { redisStore } from '../../src/stores/redis.ts'
import { Browser, codeOf, SECRET } from '../core/world.ts'
import { type ClientName, clients, splitClients } from './redis-clients.ts'
import { startTcpProxy } from './tcp-proxy.ts'

const redis = await service('redis')

describe.skipIf(redis.missing).each(Object.keys(clients) as ClientName[])(
  'law 9: a near cache over %s, its watch over a connection that goes elsewhere',
  name => {
    const url = redis.url as string
    const endings: (() => unknown)[] = []
    afterEach(async () => {
      for (const end of endings.splice(0).reverse()) await end()
    })

    async function strictSessions(prefix: string): Promise<Sessions> {
      const connection = await clients.redis(url)
      endings.push(() => connection.close())
      return createSessions({ store: redisStore(connection.client, { prefix }), secret: SECRET, production: false })
    }

    async function proxied() {
      const proxy = await startTcpProxy(Number(new URL(url).port))
      endings.push(() => proxy.close())
      return proxy
    }

    test('a read that is overtaken by its own invalidation is not kept', async () => {
      const prefix = `test:${randomUUID()}:`
      const [sessions, proxy] = [await strictSessions(prefix), await proxied()]
      const connection = await splitClients[name](proxy.url, url)
      endings.push(() => connection.close())
      const store = redisStore(connection.client, { prefix })
      const near = createSessions({ store, secret: SECRET, production: false, nearCache: { lease: '1m' } })
      endings.push(() => near.close())
      await near.ready()
      for (let i = 0; i < 20; i++) {
        const browser = new Browser()
        await browser.login(sessions, 'ann')
        proxy.delayMs = 100
        const reading = browser.whoAmI(near)
        await sleep(30)
        await sessions.revokeUser('ann')
        expect(await reading).toBe('ann')
        proxy.delayMs = 0
        expect(await browser.whoAmI(near)).toBeUndefined()
      }
    }, 30_000)

    // Guard: in redis/tracker.ts that `run` is the user's client.
    test('a watch at another server than reads go to is never proven, as behind a name that a failover moves', async () => {
      const elsewhere = await startRedis()
      if ('missing' in elsewhere) throw new Error(elsewhere.missing)
      endings.push(() => elsewhere.stop())
      const connection = await splitClients[name](url, elsewhere.url)
      endings.push(() => connection.close())
      const store = redisStore(connection.client, { prefix: `test:${randomUUID()}:`, timeoutMs: 1000 })
      await store.marks(null)
      expect(await codeOf(() => store.watch?.(() => {}))).toBe('STORE_UNAVAILABLE')
    })
  },
)
