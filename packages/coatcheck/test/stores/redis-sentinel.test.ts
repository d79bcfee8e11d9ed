import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sample } from '../../../../test/long.ts'
import { type RedisSentinel, startRedisSentinel } from '../../../../test/services/redis-sentinel.ts'
import { service } from '../../../../test/services/service.ts'
import { createSessions } from '../../src/core/sessions.ts'
import { redisStore } from '../../src/stores/redis.ts'
import { storeLaws } from '../../src/testing/index.ts'
import { Browser, codeOf, SECRET } from '../core/world.ts'
import { clients, openSpace, sentinelClients } from './redis-clients.ts'
import { expectHonest, Traffic } from './traffic.ts'

const redis = await service('redis')

const TIMEOUT_MS = 1000
const BOUND_MS = 8 * TIMEOUT_MS
const LEASE_MS = 1000

const all = Object.entries(sentinelClients).map(([name, connect]) => ({ name, connect }))
const lawful = sample('the store laws through Sentinel', all, ['ioredis'])

describe.skipIf(redis.missing).each(all)('Sentinel over $name', ({ name, connect }) => {
  let sentinel: RedisSentinel
  beforeAll(async () => {
    const started = await startRedisSentinel()
    if ('missing' in started) throw new Error(started.missing)
    sentinel = started
  })
  afterAll(() => sentinel?.stop())

  const ports = () => sentinel.sentinels.map(({ port }) => port)

  const open = () => openSpace(() => connect(sentinel.name, ports()), sentinel.name)
  if (lawful.some(client => client.name === name)) {
    for (const law of storeLaws({ open, noPrune: 'Redis forgets by itself' })) test(law.name, law.run)
  }

  test('law 6: the master killed under traffic: its replica takes over, only 503s meanwhile, nobody is signed out', async () => {
    const connection = await connect(sentinel.name, ports())
    const store = redisStore(connection.client, { timeoutMs: TIMEOUT_MS })
    const nearCache = store.cannot?.watch === undefined ? { lease: LEASE_MS } : undefined
    const traffic = new Traffic(store, nearCache && { nearCache })
    await traffic.start()
    await traffic.sessions.ready()
    const events: string[] = []
    traffic.sessions.on('near-cache.lost', () => events.push('lost'))
    traffic.sessions.on('near-cache.proven', () => events.push('proven'))
    await sleep(500)
    await sentinel.master.kill()
    await expect.poll(() => sentinel.masterPort(), { timeout: 60_000 }).toBe(sentinel.replica.port)
    const backMs = await traffic.isBack(60_000)
    if (nearCache) await expect.poll(() => events.at(-1), { timeout: 30_000 }).toBe('proven')
    expect(events.includes('lost')).toBe(nearCache !== undefined)

    // Near again, it hears of what another process ends at the new master.
    const strict = await clients.redis(sentinel.replica.url)
    const other = createSessions({ store: redisStore(strict.client), secret: SECRET, production: false })
    const browser = new Browser()
    await browser.login(traffic.sessions, 'ann')
    for (let i = 0; i < 20; i++) expect(await browser.whoAmI(traffic.sessions)).toBe('ann')
    await other.revokeUser('ann')
    await expect.poll(() => browser.whoAmI(traffic.sessions), { timeout: 2 * LEASE_MS }).toBeUndefined()

    const seen = await traffic.end()
    // Asynchronous replication: the last writes before the kill may be gone with the master.
    expectHonest(`Sentinel, ${name}, master killed`, seen, { boundMs: BOUND_MS, backMs, lossless: false })
    expect(seen.refused).toBeGreaterThan(0)
    for (const each of [connection, strict]) each.close()
  }, 180_000)
})

test('a near cache over a Sentinel client of redis is refused at start-up, with the reason', async () => {
  const client = { sendCommand: async () => null, getMasterNode: () => undefined }
  const store = redisStore(client)
  const make = async () => createSessions({ store, secret: SECRET, production: false, nearCache: true })
  expect(await codeOf(make)).toBe('BAD_OPTION')
  expect(store.cannot?.watch).toContain('Sentinel')
})
