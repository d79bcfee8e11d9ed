import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { startRedis } from '../../../../test/services/redis.ts'
import { service } from '../../../../test/services/service.ts'
import { createSessions, type Sessions } from '../../src/core/sessions.ts'
import { redisStore } from '../../src/stores/redis.ts'
import { Browser, codeOf, SECRET } from '../core/world.ts'
import { Peer, type PeerMessage } from './near-peer.ts'
import { type ClientName, clients, splitClients } from './redis-clients.ts'
import { startTcpProxy } from './tcp-proxy.ts'

const redis = await service('redis')
/** As in redis-near-peer.ts. */
const LEASE_MS = 1000
/** Whose sessions they are: one person may have a hundred. */
const PEOPLE = 50

describe.skipIf(redis.missing).each(Object.keys(clients) as ClientName[])(
  'law 9: a near cache over %s in another process',
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

    async function startPeer(prefix: string, watchUrl: string): Promise<Peer> {
      const peer = new Peer('redis-near-peer.ts', [url, watchUrl, prefix, name])
      endings.push(() => peer.end())
      await peer.isNear('proven')
      return peer
    }

    async function signedIn(sessions: Sessions, count: number): Promise<string[]> {
      const browsers = Array.from({ length: count }, () => new Browser())
      await Promise.all(browsers.map((browser, i) => browser.login(sessions, `person-${i % PEOPLE}`)))
      return browsers.map(browser => browser.cookie ?? '')
    }

    const countOf = ({ names = [] }: PeerMessage) => names.filter(Boolean).length

    /** Has it read them all, until it answers from its memory alone. */
    async function warm(peer: Peer, cookies: readonly string[]): Promise<void> {
      await expect.poll(async () => (await peer.ask(cookies)).reads, { timeout: 10_000 }).toBe(0)
    }

    test('a process that was stopped for 10 s serves nothing stale when it wakes', async () => {
      const prefix = `test:${randomUUID()}:`
      const sessions = await strictSessions(prefix)
      const peer = await startPeer(prefix, url)
      const cookies = await signedIn(sessions, 100)
      await warm(peer, cookies)
      peer.child.kill('SIGSTOP')
      await Promise.all(Array.from({ length: PEOPLE }, (_, i) => sessions.revokeUser(`person-${i}`)))
      // It lies before the process when it wakes, beside what the watch has to tell.
      const asked = peer.ask(cookies)
      await sleep(10_000)
      peer.child.kill('SIGCONT')
      expect(countOf(await asked)).toBe(0)
    }, 30_000)

    test('with the watch cut silently nothing is served past the lease: 0 of 1000; then it is near again', async () => {
      const prefix = `test:${randomUUID()}:`
      const [sessions, proxy] = [await strictSessions(prefix), await proxied()]
      const peer = await startPeer(prefix, proxy.url)
      const cookies = await signedIn(sessions, 1000)
      await warm(peer, cookies)
      proxy.silent = true
      const lost = peer.isNear('lost')
      await sessions.revokeEveryone()
      const within = countOf(await peer.ask(cookies))
      await sleep(LEASE_MS)
      const past = countOf(await peer.ask(cookies))
      console.log(`watch cut silently: served within the lease ${within} of 1000, past it ${past} of 1000`)
      expect([within > 0, past]).toEqual([true, 0])
      await lost
      const again = peer.isNear('proven')
      proxy.silent = false
      await again
    }, 30_000)

    test('a read that is overtaken by its own invalidation is not kept', async () => {
      const prefix = `test:${randomUUID()}:`
      const [sessions, proxy] = [await strictSessions(prefix), await proxied()]
      const client = await splitClients[name](proxy.url, url, () => {})
      endings.push(() => Reflect.get(client, name === 'redis' ? 'destroy' : 'disconnect').call(client))
      const store = redisStore(client, { prefix })
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
      const client = await splitClients[name](url, elsewhere.url, () => {})
      endings.push(() => Reflect.get(client, name === 'redis' ? 'destroy' : 'disconnect').call(client))
      const store = redisStore(client, { prefix: `test:${randomUUID()}:`, timeoutMs: 500 })
      await store.marks(null)
      expect(await codeOf(() => store.watch?.(() => {}))).toBe('STORE_UNAVAILABLE')
    })
  },
)
