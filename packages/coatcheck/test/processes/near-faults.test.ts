import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { sample } from '../../../../test/long.ts'
import { Browser } from '../core/world.ts'
import type { TcpProxy } from '../stores/tcp-proxy.ts'
import { type Engines, TwoProcesses } from './two-processes.ts'

const LEASE_MS = 4000
const STOPPED_MS = 10_000
/** Whose sessions they are: one person may have a hundred. */
const PEOPLE = 50

const all = (await TwoProcesses.overEach()).filter(({ backend }) => backend.tells)
const told = sample('near caches that are cut off or stopped', all, ['redis over redis', 'postgres'])

// The watch of the other process comes through a proxy that drops its packets; all else that it asks is answered.
for (const two of told) {
  describe.skipIf(two.missing)(`a near cache in another process, cut off from all news: ${two.name}`, () => {
    let browsers: readonly Browser[]
    let proxy: TcpProxy
    let engines: Engines

    beforeAll(async () => {
      proxy = await two.startProxied()
      engines = two.openEngines({ nearCache: { lease: LEASE_MS } })
      await engines.ready
    })
    afterAll(async () => {
      await engines.close()
      await two.end()
    })
    beforeEach(() => {
      proxy.silent = false
    })

    async function signIn(count: number): Promise<void> {
      browsers = Array.from({ length: count }, () => new Browser())
      await inTurns((browser, i) => browser.login(engines.one, `person-${i % PEOPLE}`))
      await warm()
    }

    /** Not all at once: they would wait for each other past the stores' limits. */
    async function inTurns<T>(act: (browser: Browser, i: number) => Promise<T>): Promise<T[]> {
      const done: T[] = []
      while (done.length < browsers.length) {
        const next = browsers.slice(done.length, done.length + PEOPLE)
        done.push(...(await Promise.all(next.map((browser, i) => act(browser, i)))))
      }
      return done
    }

    /** On a Cluster one by one: the news of one master are cut off, and it may not be the one that tells of everybody. */
    async function endAll(): Promise<void> {
      const people = Array.from({ length: PEOPLE }, (_, i) => `person-${i}`)
      if (two.backend.service === 'redis-cluster') await Promise.all(people.map(person => engines.one.revokeUser(person)))
      else await engines.one.revokeEveryone()
    }

    /** For how many the other process answers, asked all at once. A read of the store may be too slow for that, and is refused. */
    async function served(): Promise<number> {
      const names = await Promise.all(browsers.map(browser => browser.whoAmI(engines.two).catch(() => undefined)))
      return names.filter(Boolean).length
    }

    /** The other process has read them all, and answers from its memory alone. */
    async function warm(): Promise<void> {
      const ask = async () => {
        const names = await inTurns(browser => browser.whoAmI(engines.two))
        expect(names.filter(Boolean)).toHaveLength(browsers.length)
      }
      await expect.poll(() => readsFor(ask), { timeout: 60_000 }).toBe(0)
    }

    async function readsFor(act: () => Promise<unknown>): Promise<number> {
      const before = await engines.there.reads()
      await act()
      return (await engines.there.reads()) - before
    }

    // Guard: in near-cache.ts `#isLeased`.
    test('law 9: nothing is served past the lease: 0 of 1000; and it is near again by itself', async () => {
      await signIn(1000)
      const lost = new Promise(resolve => engines.two.on('near-cache.lost', resolve))
      proxy.silent = true
      await endAll()
      const within = await served()
      await sleep(LEASE_MS)
      const past = await served()
      console.log(`${two.name}: cut silently: served within the lease ${within} of 1000, past it ${past}`)
      expect([within > 0, past]).toEqual([true, 0])
      await lost
      proxy.silent = false
      const again = new Browser()
      await again.login(engines.one, 'ann')
      await expect.poll(() => readsFor(() => again.whoAmI(engines.two)), { timeout: 60_000 }).toBe(0)
    }, 180_000)

    // Guard: the same. What tells of the ends lies nowhere in its reach when it wakes.
    test('law 9: stopped for 10 s, it serves nothing stale when it wakes: 0 of 100', async () => {
      await signIn(100)
      proxy.silent = true
      two.freeze()
      await endAll()
      const asked = served()
      await sleep(STOPPED_MS)
      two.thaw()
      const stale = await asked
      console.log(`${two.name}: stopped for ${STOPPED_MS / 1000} s: served stale ${stale} of 100`)
      expect(stale).toBe(0)
    }, 120_000)
  })
}
