import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool, type PoolConfig } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startPostgres } from '../../../../test/services/postgres.ts'
import type { Server } from '../../../../test/services/server.ts'
import { service } from '../../../../test/services/service.ts'
import type { SessionsOptions } from '../../src/core/options.ts'
import { createSessions } from '../../src/core/sessions.ts'
import { migrate, type PreparedStatement, postgresStore } from '../../src/stores/postgres.ts'
import { later, nextVersion, preparedRecord, sampleHash, storedRecord } from '../../src/testing/records.ts'
import { Browser, SECRET } from '../core/world.ts'
import { startTcpProxy } from './tcp-proxy.ts'
import { expectHonest, Traffic } from './traffic.ts'

const postgres = await service('postgres')

const TIMEOUT_MS = 1000
const LEASE_MS = 1000
/** A request may need several calls, and a save a second try. */
const BOUND_MS = 8 * TIMEOUT_MS
const ROUNDS = 10
/** The store's statements that stand before a lock. */
const WAITING = "SELECT pid FROM pg_stat_activity WHERE application_name = 'served' AND wait_event_type = 'Lock'"

let server: Server
beforeAll(async () => {
  if (postgres.missing) return
  const started = await startPostgres()
  if ('missing' in started) throw new Error(started.missing)
  server = started
})
afterAll(() => server?.stop())
beforeEach(async () => {
  if (!postgres.missing) await newPool(server.url).query('DROP SCHEMA IF EXISTS coatcheck CASCADE')
})

const endings: (() => unknown)[] = []
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end()
})

/** A pool without any limit of its own: whatever ends in time does so by the store. */
function newPool(connectionString: string, config: PoolConfig = {}): Pool {
  const pool = new Pool({ connectionString, ...config })
  pool.on('error', () => {})
  endings.push(() => pool.end())
  return pool
}

async function trafficOver(pool: Pool, options: Partial<SessionsOptions> = {}): Promise<Traffic> {
  await migrate(pool)
  const traffic = new Traffic(postgresStore(pool, { timeoutMs: TIMEOUT_MS }), options)
  await traffic.start()
  await sleep(300)
  return traffic
}

/** Freezes every process of the server; the connections stay open and nothing is answered. Gives what thaws them. */
async function freeze(): Promise<() => void> {
  const pool = new Pool({ connectionString: server.url, max: 1 })
  const { rows } = await pool.query('SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()')
  await pool.end()
  const pids = [server.pid, ...rows.map(({ pid }) => pid as number)]
  const signal = (name: NodeJS.Signals) => {
    for (const pid of pids)
      try {
        process.kill(pid, name)
      } catch {
        // It has ended by itself meanwhile.
      }
  }
  signal('SIGSTOP')
  const thaw = () => signal('SIGCONT')
  endings.push(thaw)
  return thaw
}

describe.skipIf(postgres.missing)('law 6: an outage of Postgres', () => {
  test.each(['killed', 'stopped'])(
    '%s and started again under traffic: only 503s, nobody signed out, nothing acknowledged is lost',
    async how => {
      const traffic = await trafficOver(newPool(server.url))
      if (how === 'killed') {
        await server.kill()
        await sleep(1500)
      }
      await server.restart()
      const backMs = await traffic.isBack()
      const seen = await traffic.end()
      expectHonest(`postgres, ${how} and started again`, seen, { boundMs: BOUND_MS, backMs })
      expect(seen.refused).toBeGreaterThan(0)
    },
    90_000,
  )

  test('killed under a near cache: it is lost, and near again when the server is back', async () => {
    const traffic = await trafficOver(newPool(server.url), { nearCache: { lease: LEASE_MS } })
    await traffic.sessions.ready()
    const seen: string[] = []
    traffic.sessions.on('near-cache.lost', () => seen.push('lost'))
    const again = new Promise(resolve => traffic.sessions.on('near-cache.proven', resolve))
    await server.kill()
    await sleep(1500)
    await server.restart()
    await again
    const backMs = await traffic.isBack()
    expectHonest('postgres, killed under a near cache', await traffic.end(), { boundMs: BOUND_MS, backMs })
    expect(seen).toContain('lost')
    await traffic.sessions.close()
  }, 90_000)

  test('a connection cut in the middle of a reply, ten times under traffic', async () => {
    const proxy = await startTcpProxy(server.port)
    endings.push(() => proxy.close())
    const traffic = await trafficOver(newPool(throughPort(server.url, proxy.url)))
    for (let i = 0; i < 10; i++) {
      proxy.cutNextAnswers()
      await sleep(200)
    }
    const backMs = await traffic.isBack()
    const seen = await traffic.end()
    expectHonest('postgres, cut in a reply', seen, { boundMs: BOUND_MS, backMs })
    expect(proxy.cuts).toBeGreaterThan(0)
    expect(seen.refused).toBeGreaterThan(0)
  }, 90_000)

  test('a server whose processes are frozen: every request ends in bounded time, whatever the pool is set to', async () => {
    const traffic = await trafficOver(newPool(server.url))
    const thaw = await freeze()
    await sleep(3000)
    thaw()
    const backMs = await traffic.isBack()
    const seen = await traffic.end()
    expectHonest('postgres, frozen', seen, { boundMs: BOUND_MS, backMs })
    expect(seen.refused).toBeGreaterThan(0)
  }, 90_000)

  test('a network that drops everything: every request ends in bounded time, and service is back with it', async () => {
    const proxy = await startTcpProxy(server.port)
    endings.push(() => proxy.close())
    const pool = newPool(throughPort(server.url, proxy.url), { connectionTimeoutMillis: 500 })
    const traffic = await trafficOver(pool)
    proxy.silent = true
    await sleep(3000)
    proxy.silent = false
    const backMs = await traffic.isBack()
    const seen = await traffic.end()
    expectHonest('postgres, silent network', seen, { boundMs: BOUND_MS, backMs })
    expect(seen.refused).toBeGreaterThan(0)
  }, 90_000)

  test('connections that the server ends under traffic', async () => {
    const traffic = await trafficOver(newPool(server.url))
    const killer = newPool(server.url, { max: 1 })
    for (let i = 0; i < 10; i++) {
      await killer.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
      )
      await sleep(150)
    }
    const backMs = await traffic.isBack()
    const seen = await traffic.end()
    expectHonest('postgres, backends terminated 10 times', seen, { boundMs: BOUND_MS, backMs })
    expect(seen.refused + seen.saved).toBeGreaterThan(0)
  }, 90_000)

  // Guard: in client.ts `guardConnections`.
  test('a connection that the server ends in the packet that opens it: a 503, and the process goes on', async () => {
    const proxy = await startTcpProxy(server.port)
    endings.push(() => proxy.close())
    const other = newPool(server.url)
    await migrate(other)
    const config = { application_name: 'served' }
    const store = postgresStore(newPool(throughPort(server.url, proxy.url), config), { timeoutMs: TIMEOUT_MS * 10 })
    let held = proxy.hold()
    const reading = Promise.resolve(store.read('x'))
    const refused = expect(reading).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    // Proving a password (SCRAM) takes two answers; the third says that the connection is open.
    for (const _answer of [1, 2]) {
      await expect.poll(() => held.count).toBe(1)
      held.release()
      held = proxy.hold()
    }
    const terminate =
      "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'served' AND state = 'idle'"
    await expect.poll(async () => (await other.query(terminate)).rowCount, { timeout: 5000 }).toBe(1)
    await expect.poll(() => held.count).toBeGreaterThan(2)
    held.release()
    await refused
    expect(await store.read('x')).toBeUndefined()
  }, 90_000)

  test('a pool whose connections are all in use elsewhere', async () => {
    const pool = newPool(server.url, { max: 3 })
    const traffic = await trafficOver(pool)
    const held = await Promise.all(Array.from({ length: 3 }, () => pool.connect()))
    await sleep(2500)
    for (const client of held) client.release()
    const backMs = await traffic.isBack()
    const seen = await traffic.end()
    expectHonest('postgres, pool exhausted', seen, { boundMs: BOUND_MS, backMs })
    expect(seen.refused).toBeGreaterThan(0)
  }, 90_000)
})

describe.skipIf(postgres.missing)('law 6: a statement that ends in the middle', () => {
  async function fixture(config: PoolConfig = {}) {
    const pool = newPool(server.url, { application_name: 'served', ...config })
    await migrate(pool)
    const store = postgresStore(pool, { timeoutMs: TIMEOUT_MS })
    return { pool, store, sessions: createSessions({ store, secret: SECRET, production: false }), other: newPool(server.url) }
  }

  /** Waits until one of the store's statements stands before a lock, and gives its process. */
  async function stuck(other: Pool): Promise<number> {
    let pid: number | undefined
    await expect
      .poll(
        async () => {
          const { rows } = await other.query(WAITING)
          pid = rows[0]?.pid
          return pid
        },
        { timeout: 5000, interval: 10 },
      )
      .toBeDefined()
    return pid as number
  }

  /** Holds rows or tables by a transaction of its own while `act` runs into them. */
  async function holding<T>(other: Pool, lock: string, act: (letGo: () => Promise<void>) => Promise<T>): Promise<T> {
    const holder = await other.connect()
    await holder.query('BEGIN')
    await holder.query(lock)
    const letGo = async () => void (await holder.query('COMMIT'))
    try {
      return await act(letGo)
    } finally {
      await letGo()
      holder.release()
    }
  }

  test('a backend that is terminated in the middle of a login: signed in or a 503, and never half', async () => {
    const { sessions, other } = await fixture()
    const counts = { signedIn: 0, refused: 0 }
    for (let round = 0; round < ROUNDS; round++) {
      const browser = new Browser()
      const outcome = await holding(other, 'LOCK TABLE coatcheck.sessions IN SHARE MODE', async letGo => {
        const login = browser.login(sessions, 'ann').then(
          () => 'signedIn' as const,
          error => error,
        )
        await other.query('SELECT pg_terminate_backend($1)', [await stuck(other)])
        await letGo()
        return login
      })
      if (outcome !== 'signedIn') expect(outcome).toMatchObject({ code: 'STORE_UNAVAILABLE', status: 503 })
      counts[outcome === 'signedIn' ? 'signedIn' : 'refused']++
      expect(await browser.whoAmI(sessions)).toBe(outcome === 'signedIn' ? 'ann' : undefined)
      expect(await sessions.list('ann')).toHaveLength(counts.signedIn)
    }
    console.log(`postgres: backend terminated in the middle of ${ROUNDS} logins: ${JSON.stringify(counts)}`)
  }, 90_000)

  test('a backend that is terminated in the middle of a rotation: one of both tokens is alive, and it is the browser’s', async () => {
    const { sessions, other } = await fixture()
    const browser = new Browser()
    await browser.login(sessions, 'ann')
    const counts = { rotated: 0, refused: 0 }
    for (let round = 0; round < ROUNDS; round++) {
      const outcome = await holding(other, 'SELECT 1 FROM coatcheck.sessions FOR UPDATE', async letGo => {
        const rotation = browser
          .request(sessions, ({ session }) => session.rotate())
          .then(
            () => 'rotated' as const,
            error => error,
          )
        await other.query('SELECT pg_terminate_backend($1)', [await stuck(other)])
        await letGo()
        return rotation
      })
      if (outcome !== 'rotated') expect(outcome).toMatchObject({ code: 'STORE_UNAVAILABLE', status: 503 })
      counts[outcome === 'rotated' ? 'rotated' : 'refused']++
      expect(await browser.whoAmI(sessions)).toBe('ann')
    }
    console.log(`postgres: backend terminated in the middle of ${ROUNDS} rotations: ${JSON.stringify(counts)}`)
  }, 90_000)

  // Guard: in client.ts `release(broken)`.
  test('a statement that is given up takes its connection with it, and the pool serves on', async () => {
    const { pool, store, other } = await fixture({ max: 2 })
    const record = await storedRecord(store)
    const rotated = nextVersion(record, { tokenHash: sampleHash() })
    await holding(other, 'SELECT 1 FROM coatcheck.sessions FOR UPDATE', async () => {
      const from = performance.now()
      const writes = Array.from({ length: 4 }, () => store.replace(rotated, later()))
      for (const { status, ...outcome } of await Promise.allSettled(writes))
        expect({ status, ...outcome }).toMatchObject({
          status: 'rejected',
          reason: { code: 'STORE_UNAVAILABLE', message: expect.stringMatching(/within 1000 ms/) },
        })
      expect(performance.now() - from).toBeLessThan(BOUND_MS)
      // Reads wait for no lock: every connection of the pool is good again.
      await Promise.all(Array.from({ length: 4 }, () => store.marks(null)))
      expect(pool.totalCount).toBeLessThanOrEqual(2)
    })
    // What was given up landed when the lock was free, or not: said again, it is the same write.
    expect(await store.replace(rotated, later())).toBe('saved')
    expect((await store.read(record.id))?.tokenHash).toBe(rotated.tokenHash)
  }, 60_000)

  // Guard: in client.ts `SET LOCAL statement_timeout`.
  test('logins that are given up leave nothing waiting in the server', async () => {
    const { store, other } = await fixture()
    await holding(other, 'LOCK TABLE coatcheck.sessions IN SHARE MODE', async () => {
      const logins = await Promise.all(Array.from({ length: 5 }, (_, i) => preparedRecord(store, { userId: `person-${i}` })))
      for (const { status, ...outcome } of await Promise.allSettled(logins.map(login => store.create(login, later()))))
        expect({ status, ...outcome }).toMatchObject({ status: 'rejected', reason: { code: 'STORE_UNAVAILABLE' } })
      await expect.poll(async () => (await other.query(WAITING)).rowCount, { timeout: 5000 }).toBe(0)
    })
  }, 60_000)

  // Guard: in client.ts `idle_in_transaction_session_timeout`.
  test('a process that freezes inside a login does not keep the person’s lock', async () => {
    const { other, store } = await fixture()
    const client = await other.connect()
    endings.push(() => client.release(true))
    client.on('error', () => {})
    // It goes no further once it has the lock, and lets nothing go.
    const query = (statement: string | PreparedStatement) =>
      client.query(typeof statement === 'string' ? statement : statement.text).then(() => new Promise<never>(() => {}))
    const frozen = { query, on: () => {}, removeListener: () => {}, release: () => {} }
    const login = await preparedRecord(store, { userId: 'ann' })
    const asleep = postgresStore({ connect: async () => frozen }, { timeoutMs: TIMEOUT_MS }).create(login, later())
    const ended = asleep.catch(error => error)
    await sleep(200)
    await expect(store.revokeUser('ann')).resolves.toEqual([])
    expect(await ended).toMatchObject({ code: 'STORE_UNAVAILABLE' })
  }, 60_000)
})

function throughPort(url: string, proxy: string): string {
  const changed = new URL(url)
  changed.port = new URL(proxy).port
  return changed.href
}
