import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRedisNonAtomic } from 'rate-limiter-flexible'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startPostgres } from '../../../../test/services/postgres.ts'
import { startRedis } from '../../../../test/services/redis.ts'
import type { Server } from '../../../../test/services/server.ts'
import { service } from '../../../../test/services/service.ts'
import { memoryLimiter } from '../../src/limiters/memory.ts'
import { sqliteLimiter } from '../../src/limiters/sqlite.ts'
import { Counter } from '../../src/throttle/counter.ts'
import type { Limiter } from '../../src/throttle/limiter.ts'
import { DEFAULT_LIMITS } from '../../src/throttle/limits.ts'
import { Throttle, type Windows } from '../../src/throttle/throttle.ts'
import { type Address, type Opened, open } from '../support/connect.ts'

const windows = Object.fromEntries(
  Object.keys(DEFAULT_LIMITS).map(name => [name, [{ tries: 10, seconds: 3600 }]]),
) as unknown as Windows
const throttleOn = ({ limiter }: Opened, failed: (error: unknown) => void = () => {}) =>
  new Throttle(limiter, windows, Buffer.alloc(32), failed)
const tried = { names: ['user 1'], ip: '192.0.2.1' }
const UNAVAILABLE = { code: 'LIMITER_UNAVAILABLE', status: 503, retryAfter: 1 }

/** Installs it where it is not there yet; what cannot be had is in the run's summary. */
const lacking = { redis: (await service('redis')).missing, postgres: (await service('postgres')).missing }

async function pause(server: Server) {
  server.pause()
  return async () => server.resume()
}

/** A Postgres whose main process is frozen still serves the connections that it has. */
async function lockTable({ url }: Server) {
  const other = new pg.Client({ connectionString: url })
  await other.connect()
  await other.query('BEGIN; LOCK TABLE tries')
  return () => other.end()
}

const kinds = [
  { name: 'redis', start: startRedis, hang: pause, address: (url: string): Address => ({ kind: 'redis', url }) },
  { name: 'ioredis', start: startRedis, hang: pause, address: (url: string): Address => ({ kind: 'ioredis', url }) },
  {
    name: 'postgres',
    start: startPostgres,
    hang: lockTable,
    address: (url: string): Address => ({ kind: 'postgres', url, table: 'tries' }),
  },
].filter(({ name }) => (name === 'postgres' ? lacking.postgres : lacking.redis) === undefined)

describe.each(kinds)('a backend that is down refuses: $name', ({ start, hang, address }) => {
  let server: Server
  let opened: Opened

  beforeAll(async () => {
    const started = await start()
    if ('missing' in started) throw new Error(started.missing)
    server = started
    opened = await open(address(server.url))
  })
  afterAll(async () => {
    await opened?.close().catch(() => {})
    await server?.stop()
  })

  test('killed: every try is refused within a second or so, none is let through, and counting goes on when it is back', async () => {
    const throttle = throttleOn(opened)
    expect(await throttle.login(tried)).toMatchObject({ ok: true })
    await server.kill()
    await sleep(100)
    const startedAt = performance.now()
    const outcomes = await Promise.allSettled(Array.from({ length: 50 }, () => throttle.login(tried)))
    expect(performance.now() - startedAt).toBeLessThan(4000)
    for (const outcome of outcomes) expect(outcome).toMatchObject({ status: 'rejected', reason: UNAVAILABLE })
    await server.restart()
    await expect
      .poll(
        () =>
          throttle.login(tried).then(
            ({ ok }) => ok,
            () => undefined,
          ),
        { timeout: 15_000 },
      )
      .toBe(true)
  })

  test('frozen: a try waits three seconds at most', async () => {
    // Of its own: a Postgres whose main process is frozen still serves the connections that it has.
    const fresh = await open(address(server.url))
    const throttle = throttleOn(fresh)
    server.pause()
    const startedAt = performance.now()
    await expect(throttle.login(tried)).rejects.toMatchObject(UNAVAILABLE)
    expect(performance.now() - startedAt).toBeLessThan(3500)
    server.resume()
    await expect
      .poll(
        () =>
          throttle.login(tried).then(
            ({ ok }) => ok,
            () => undefined,
          ),
        { timeout: 15_000 },
      )
      .toBe(true)
  })

  test('silent: the tries that it counts when it is back do not count, and hardly any are sent to it meanwhile', async () => {
    let sent = 0
    const create: Limiter['create'] = options => {
      const real = opened.limiter.create(options)
      function consume(key: string) {
        sent++
        return real.consume(key)
      }
      return { consume, reward: key => real.reward(key), delete: key => real.delete(key) }
    }
    const throttle = throttleOn({ ...opened, limiter: { ...opened.limiter, create } })
    const account = { names: ['user 3'], ip: undefined }
    const take = () => Promise.allSettled(Array.from({ length: 10 }, () => throttle.login(account)))
    async function free() {
      const taken = (await take()).flatMap(outcome => (outcome.status === 'fulfilled' && outcome.value.ok ? [outcome.value] : []))
      await Promise.all(taken.map(reservation => reservation.giveBack()))
      return taken.length
    }
    expect(await free()).toBe(10)
    sent = 0
    const goOn = await hang(server)
    const startedAt = performance.now()
    const outcomes = [...(await take()), ...(await take()), ...(await take())]
    expect(performance.now() - startedAt).toBeLessThan(4000)
    for (const outcome of outcomes) expect(outcome).toMatchObject({ status: 'rejected', reason: UNAVAILABLE })
    expect(sent).toBe(10)
    await sleep(1100)
    await take()
    expect(sent).toBe(11)
    await goOn()
    await expect.poll(free, { timeout: 15_000 }).toBe(10)
  })

  test('gone between the try and its end: the login is not failed by that, and it is told', async () => {
    const told: unknown[] = []
    const throttle = throttleOn(opened, error => told.push(error))
    const reservation = await throttle.login({ ...tried, names: ['user 2'] })
    await server.kill()
    await sleep(100)
    expect(reservation.ok).toBe(true)
    if (reservation.ok) await reservation.succeed()
    expect(told).not.toHaveLength(0)
    for (const error of told) expect(error).toMatchObject(UNAVAILABLE)
    await server.restart()
  })
})

test.skipIf(lacking.postgres)('postgres: down at the start is no crash, and the table is made when it is up', async () => {
  const server = await startPostgres()
  if ('missing' in server) throw new Error(server.missing)
  await server.kill()
  const opened = await open({ kind: 'postgres', url: server.url, table: 'tries' })
  const throttle = throttleOn(opened)
  await expect(throttle.login(tried)).rejects.toMatchObject(UNAVAILABLE)
  await server.restart()
  expect(await throttle.login(tried)).toMatchObject({ ok: true })
  await opened.close()
  await server.stop()
})

describe('sqlite', () => {
  const path = join(tmpdir(), `coatcheck-throttle-${process.pid}.db`)
  afterAll(() => {
    for (const end of ['', '-wal', '-shm']) rmSync(path + end, { force: true })
  })

  test('a file that another writer keeps locked refuses, and the event loop goes on meanwhile', async () => {
    const limiter = sqliteLimiter(path)
    const counter = new Counter(limiter, 'test', { tries: 10, seconds: 60 })
    const other = new DatabaseSync(path)
    other.exec('BEGIN IMMEDIATE')
    let [last, longest] = [performance.now(), 0]
    const beat = setInterval(() => {
      const now = performance.now()
      longest = Math.max(longest, now - last)
      last = now
    }, 5)
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => counter.take('key')))
    await sleep(10)
    clearInterval(beat)
    for (const outcome of outcomes) expect(outcome).toMatchObject({ status: 'rejected', reason: UNAVAILABLE })
    // One of them inside SQLite would be a second, and eight of them eight.
    expect(longest).toBeLessThan(700)
    other.exec('ROLLBACK')
    other.close()
    expect(await counter.take('key')).toMatchObject({ taken: true })
    limiter.close?.()
    await expect(counter.take('key')).rejects.toMatchObject(UNAVAILABLE)
  })

  test('a file that is locked for a moment is waited for: as many are taken as ever, and what is given back is', async () => {
    const limiter = sqliteLimiter(path)
    const counter = new Counter(limiter, 'moment', { tries: 10, seconds: 60 })
    const first = await counter.take('key')
    const other = new DatabaseSync(path)
    other.exec('BEGIN IMMEDIATE')
    setTimeout(() => other.exec('ROLLBACK'), 200)
    const [, ...outcomes] = await Promise.all([
      first.taken && counter.giveBack('key', first),
      ...Array.from({ length: 20 }, () => counter.take('key')),
    ])
    expect(outcomes.filter(({ taken }) => taken)).toHaveLength(10)
    other.close()
    limiter.close?.()
  })

  test('what has ended is thrown away in batches, so that a flood of addresses does not stay', async () => {
    const limiter = sqliteLimiter(path)
    const counter = new Counter(limiter, 'flood', { tries: 10, seconds: 1 })
    for (let i = 0; i < 1500; i++) await counter.take(`key ${i}`)
    const look = new DatabaseSync(path)
    const rows = () =>
      (look.prepare("SELECT count(*) AS n FROM coatcheck_tries WHERE key LIKE '%flood%'").get() as { n: number }).n
    expect(rows()).toBe(1500)
    await sleep(1050)
    const later = Date.now() + 61_000
    const real = Date.now
    try {
      Date.now = () => later
      await counter.take('one')
      await counter.take('two')
    } finally {
      Date.now = real
    }
    expect(rows()).toBe(2)
    look.close()
    limiter.close?.()
  })
})

describe('memory', () => {
  test('refuses new keys beyond its bound, counts known ones on, and takes new ones when windows have ended', async () => {
    const counter = new Counter(memoryLimiter({ maxKeys: 3 }), 'test', { tries: 2, seconds: 1 })
    for (const key of ['a', 'b', 'c']) await counter.take(key)
    await expect(counter.take('d')).rejects.toMatchObject(UNAVAILABLE)
    expect(await counter.take('a')).toMatchObject({ taken: true, last: true })
    await counter.clear('b')
    expect(await counter.take('d')).toMatchObject({ taken: true })
    await sleep(1050)
    expect(await counter.take('e')).toMatchObject({ taken: true })
  })
})

describe('limiters that promise less are refused at once', () => {
  const client = { defineCommand() {}, status: 'ready' }
  const counterOn = (create: Limiter['create']) => () =>
    new Counter({ name: 'custom', create }, 'test', { tries: 10, seconds: 60 })

  test.each([
    [
      'counts that are read, then written',
      counterOn(options => new RateLimiterRedisNonAtomic({ ...options, storeClient: client })),
    ],
    ['a block that a give-back would lift', counterOn(options => new RateLimiterMemory({ ...options, blockDuration: 60 }))],
    ['waiting in place of refusing', counterOn(options => new RateLimiterMemory({ ...options, execEvenly: true }))],
    [
      'a second limiter for when the first is down',
      counterOn(
        options => new RateLimiterRedis({ ...options, storeClient: client, insuranceLimiter: new RateLimiterMemory(options) }),
      ),
    ],
    [
      'a block in memory that the backend does not know',
      counterOn(options => new RateLimiterRedis({ ...options, storeClient: client, inMemoryBlockOnConsumed: 10 })),
    ],
  ])('%s', (_name, make) => {
    expect(make).toThrow(expect.objectContaining({ code: 'BAD_OPTION' }))
  })
})
