import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Client, Pool, type PoolConfig } from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import { startPostgres } from '../../../../test/services/postgres.ts'
import { service } from '../../../../test/services/service.ts'
import { createSessions, type Sessions } from '../../src/core/sessions.ts'
import { migrate, migrations, type PostgresStoreOptions, postgresStore } from '../../src/stores/postgres.ts'
import { gatedStore } from '../../src/testing/gate.ts'
import { later, nextVersion, storedRecord } from '../../src/testing/records.ts'
import { Browser, SECRET } from '../core/world.ts'
import { startTcpProxy } from './tcp-proxy.ts'

const postgres = await service('postgres')
const url = postgres.url ?? 'postgres://127.0.0.1:1/none'
/** A thousand at once must not be too slow on a busy machine. */
const PATIENT_MS = 30_000

const endings: (() => unknown)[] = []
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end()
})

function newPool(config: PoolConfig = {}): Pool {
  const pool = new Pool({ connectionString: url, ...config })
  pool.on('error', () => {})
  endings.push(() => pool.end())
  return pool
}

/** A schema of its own with the tables. */
async function newSchema(pool: Pool): Promise<string> {
  const schema = `test_${randomBytes(6).toString('hex')}`
  await migrate(pool, { schema })
  endings.push(() => pool.query(`DROP SCHEMA ${schema} CASCADE`))
  return schema
}

async function proxied() {
  const proxy = await startTcpProxy(Number(new URL(url).port))
  endings.push(() => proxy.close())
  const through = new URL(url)
  through.port = new URL(proxy.url).port
  return { proxy, url: through.href }
}

/** A connection on which a test keeps a transaction open; it ends with the test, however that ends. */
async function newWriter(): Promise<Client> {
  const writer = new Client(url)
  await writer.connect()
  endings.push(() => writer.end())
  return writer
}

async function newWatch(pool: Pool, options: PostgresStoreOptions) {
  const heard: (string | null)[] = []
  const watch = await postgresStore(pool, options).watch?.(id => heard.push(id))
  if (watch === undefined) throw new Error('no watch')
  endings.push(() => watch.close())
  return { heard, prove: () => watch.prove(), close: () => watch.close() }
}

describe.skipIf(postgres.missing)('law 9: a near cache over Postgres', () => {
  function strictSessions(pool: Pool, schema: string): Sessions {
    return createSessions({ store: postgresStore(pool, { schema, timeoutMs: PATIENT_MS }), secret: SECRET, production: false })
  }

  /** As a server does that restarts, or a person at a prompt. */
  async function endListening(pool: Pool, schema: string): Promise<void> {
    await pool.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%LISTEN "${schema}"%' AND pid <> pg_backend_pid()`,
    )
  }

  async function fixture() {
    const pool = newPool()
    const schema = await newSchema(pool)
    return { pool, schema, sessions: strictSessions(pool, schema) }
  }

  // Guard: in near-cache.ts `!fill.overtaken`.
  test('a read that is overtaken by its own invalidation is not kept', async () => {
    const { schema, sessions } = await fixture()
    const through = await proxied()
    const store = postgresStore(newPool({ connectionString: through.url }), { schema, listen: () => new Client(url) })
    const near = createSessions({ store, secret: SECRET, production: false, nearCache: { lease: '1m' } })
    endings.push(() => near.close())
    await near.ready()
    let [overtaken, kept] = [0, 0]
    for (let i = 0; i < 60 && overtaken < 20 && kept === 0; i++) {
      const browser = new Browser()
      await browser.login(sessions, 'ann')
      through.proxy.delayMs = 300
      const reading = browser.whoAmI(near)
      await sleep(50)
      const order: string[] = []
      const revoking = sessions.revokeUser('ann').then(() => order.push('revoked'))
      const name = await reading.finally(() => order.push('read'))
      await revoking
      through.proxy.delayMs = 0
      // On a busy machine the read may come too late to find the session, or the revocation to overtake it.
      if (name === undefined || order[0] !== 'revoked') continue
      overtaken++
      // What has only not been delivered yet goes by itself; what was kept would stay.
      await expect
        .poll(() => browser.whoAmI(near), { timeout: 10_000 })
        .toBeUndefined()
        .catch(() => kept++)
    }
    console.log(`postgres: overtaken reads kept: ${kept} of ${overtaken}`)
    expect({ overtaken, kept }).toEqual({ overtaken: 20, kept: 0 })
  }, 120_000)

  // Guard: in near-cache.ts #start `this.#forgetAll()`.
  test('nor is one that was sent while the watch was lost, and answered when it was up again', async () => {
    const { pool, schema, sessions } = await fixture()
    const through = await proxied()
    const [quick, slow] = [newPool(), newPool({ connectionString: through.url, max: 1, idleTimeoutMillis: 0 })]
    await slow.query('SELECT 1')
    // One slow connection among those of a pool.
    let now = quick
    const store = postgresStore(
      { connect: () => now.connect() },
      { schema, timeoutMs: PATIENT_MS, listen: () => new Client(url) },
    )
    const near = createSessions({ store, secret: SECRET, production: false, nearCache: { lease: '2s' } })
    endings.push(() => near.close())
    await near.ready()
    const browser = new Browser()
    await browser.login(sessions, 'ann')
    const event = (name: 'near-cache.lost' | 'near-cache.proven') => new Promise<void>(resolve => near.on(name, () => resolve()))
    const [lost, proven] = [event('near-cache.lost'), event('near-cache.proven')]
    await endListening(pool, schema)
    await lost
    const held = through.proxy.hold()
    now = slow
    const reading = browser.whoAmI(near)
    // A read leaves at the end of its turn of the event loop.
    await new Promise(setImmediate)
    now = quick
    await expect.poll(() => held.count, { timeout: 10_000 }).toBe(1)
    await sessions.revokeUser('ann')
    await proven
    held.release()
    expect(await reading).toBe('ann')
    expect(await browser.whoAmI(near)).toBeUndefined()
  }, 60_000)

  test('a revocation is heard within milliseconds', async () => {
    const { schema, sessions } = await fixture()
    const near = createSessions({
      store: postgresStore(newPool(), { schema }),
      secret: SECRET,
      production: false,
      nearCache: { lease: '1m' },
    })
    endings.push(() => near.close())
    await near.ready()
    const took: number[] = []
    for (let i = 0; i < 100; i++) {
      const browser = new Browser()
      await browser.login(sessions, 'ann')
      expect(await browser.whoAmI(near)).toBe('ann')
      await sessions.revokeUser('ann')
      const from = performance.now()
      while ((await browser.whoAmI(near)) !== undefined) await sleep(0)
      took.push(performance.now() - from)
    }
    took.sort((a, b) => a - b)
    const [median, p99] = [took[50], took[98]].map(ms => ms?.toFixed(2))
    console.log(`postgres: from revoke() resolved to refused elsewhere: median ${median} ms, p99 ${p99} ms of 100`)
    // A busy machine is late at times, and not as a rule.
    expect(took[50]).toBeLessThan(250)
    expect(took.at(-1)).toBeLessThan(10_000)
  }, 60_000)

  test('a listening connection that the server ends drops everything, and is made anew', async () => {
    const { pool, schema, sessions } = await fixture()
    const gate = gatedStore(postgresStore(newPool(), { schema, listen: () => new Client(url) }))
    const near = createSessions({ store: gate.store, secret: SECRET, production: false, nearCache: { lease: '2s' } })
    endings.push(() => near.close())
    await near.ready()
    const browser = new Browser()
    await browser.login(sessions, 'ann')
    const reads = async () => {
      gate.reset()
      expect(await browser.whoAmI(near)).toBe('ann')
      return gate.calls.read
    }
    await expect.poll(reads, { timeout: 10_000 }).toBe(0)
    const proven = new Promise(resolve => near.on('near-cache.proven', resolve))
    const atLoss = new Promise(resolve => near.on('near-cache.lost', () => resolve(reads())))
    await endListening(pool, schema)
    expect(await atLoss).toBe(1)
    await proven
    await expect.poll(reads, { timeout: 10_000 }).toBe(0)
    await sessions.revokeEveryone()
    await expect.poll(() => browser.whoAmI(near), { timeout: 10_000 }).toBeUndefined()
  }, 40_000)
})

describe.skipIf(postgres.missing)('what a watch over Postgres hears', () => {
  async function watched() {
    const pool = newPool()
    const schema = await newSchema(pool)
    return { pool, schema, store: postgresStore(pool, { schema }) }
  }

  // Guard: the triggers of step 2.
  test('whoever changes a row: another program, or a person at a prompt', async () => {
    const { pool, schema, store } = await watched()
    const [edited, deleted] = [await storedRecord(store), await storedRecord(store)]
    const watch = await newWatch(pool, { schema })
    await pool.query(`UPDATE ${schema}.sessions SET user_id = 'mallory' WHERE id = $1`, [edited.id])
    await pool.query(`DELETE FROM ${schema}.sessions WHERE id = $1`, [deleted.id])
    await watch.prove()
    expect(watch.heard).toEqual([edited.id, deleted.id])
    for (const all of [
      `TRUNCATE ${schema}.sessions`,
      `DELETE FROM ${schema}.marks WHERE name = 'generation'`,
      `TRUNCATE ${schema}.marks`,
    ]) {
      watch.heard.length = 0
      await pool.query(all)
      await expect.poll(() => watch.heard).toEqual([null])
    }
  })

  test('no touch and no prune', async () => {
    const { pool, schema, store } = await watched()
    const [touched] = [
      await storedRecord(store),
      await storedRecord(store, {}, 1),
      await storedRecord(store, { expiresAt: 2 }, 1),
    ]
    const watch = await newWatch(pool, { schema })
    await store.touch(touched.id, touched.lastSeenAt + 1, later() + 1)
    expect(await store.prune?.(Date.now(), 10)).toBe(2)
    await watch.prove()
    expect(watch.heard).toEqual([])
    // The prune's silence ended with its statement, on its connection too.
    for (const record of [await storedRecord(store), await storedRecord(store)]) await store.delete(record.id)
    await watch.prove()
    expect(watch.heard).toHaveLength(2)
  })

  test('nothing is told where nobody watches, and again nothing an hour after the last watch', async () => {
    const { pool, schema, store } = await watched()
    const listener = new Client(url)
    await listener.connect()
    endings.push(() => listener.end())
    const told: unknown[] = []
    listener.on('notification', ({ payload }) => told.push(payload))
    await listener.query(`LISTEN "${schema}"`)
    const end = async () => {
      await store.delete((await storedRecord(store)).id)
      await listener.query('SELECT 1')
    }
    await end()
    expect(told.filter(payload => payload !== 'everything')).toEqual([])
    const watch = await newWatch(pool, { schema })
    await end()
    const heard = told.filter(payload => payload !== 'everything')
    expect(heard).toHaveLength(1)
    await watch.close()
    await store.prune?.(0, 1)
    await end()
    expect(told.filter(payload => payload !== 'everything')).toHaveLength(2)
    await pool.query(`UPDATE ${schema}.marks SET value = split_part(value, ' ', 1) || ' 1' WHERE name = 'watched'`)
    await store.prune?.(0, 1)
    await end()
    expect(told.filter(payload => payload !== 'everything')).toHaveLength(2)
  })

  // Guard: in watch.ts `#outwaitWriters`.
  test('also what was begun before it: a watch begins when the writers that do not know of it have ended', async () => {
    const { pool, schema, store } = await watched()
    const record = await storedRecord(store)
    const writer = await newWriter()
    await writer.query('BEGIN')
    await writer.query(`DELETE FROM ${schema}.sessions WHERE id = $1`, [record.id])
    let isOpen = false
    const opening = newWatch(pool, { schema }).then(watch => {
      isOpen = true
      return watch
    })
    await sleep(500)
    expect(isOpen).toBe(false)
    await writer.query('COMMIT')
    await (await opening).prove()
  })

  test('a writer that never ends is said, instead of a watch that misses what it does', async () => {
    const { pool, schema, store } = await watched()
    const record = await storedRecord(store)
    const writer = await newWriter()
    await writer.query('BEGIN')
    await writer.query(`DELETE FROM ${schema}.sessions WHERE id = $1`, [record.id])
    await expect(newWatch(pool, { schema, timeoutMs: 4000 })).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringMatching(/open since before the watch/),
    })
    await writer.query('ROLLBACK')
  })

  // Guard: in migrations.ts the look at transaction_isolation.
  test('a writer whose transaction looks at what was there before the watch', async () => {
    const { pool, schema, store } = await watched()
    const record = await storedRecord(store)
    const writer = await newWriter()
    await writer.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
    await writer.query('SELECT 1')
    const watch = await newWatch(pool, { schema })
    await writer.query(`DELETE FROM ${schema}.sessions WHERE id = $1`, [record.id])
    await writer.query('COMMIT')
    await watch.prove()
    expect(watch.heard).toEqual([record.id])
  })

  test('a proof fails as soon as changes are not told any more', async () => {
    const { pool, schema } = await watched()
    const untold = { code: 'STORE_UNAVAILABLE', message: expect.stringMatching(/does not tell of changes/) }
    const [first, second] = [await newWatch(pool, { schema }), await newWatch(pool, { schema })]
    await pool.query(`DELETE FROM ${schema}.marks WHERE name = 'watched'`)
    await expect(first.prove()).rejects.toMatchObject(untold)
    const third = await newWatch(pool, { schema })
    // Another mark stands there now: what was done between the two was not told.
    await expect(second.prove()).rejects.toMatchObject(untold)
    await third.prove()
    await pool.query(`ALTER TABLE ${schema}.sessions DISABLE TRIGGER told_change`)
    await expect(third.prove()).rejects.toMatchObject(untold)
  })

  test('tables of an older step are refused with what to do, and serve strict reads', async () => {
    const pool = newPool()
    const schema = `test_${randomBytes(6).toString('hex')}`
    endings.push(() => pool.query(`DROP SCHEMA ${schema} CASCADE`))
    await pool.query(migrations({ schema })[0]?.sql ?? '')
    const store = postgresStore(pool, { schema })
    const record = await storedRecord(store)
    expect(await store.replace(nextVersion(record), later())).toBe('saved')
    await expect(newWatch(pool, { schema })).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringMatching(/Run migrate\(pool\)/),
    })
    expect(await migrate(pool, { schema })).toEqual([2])
    const watch = await newWatch(pool, { schema })
    await store.delete(record.id)
    await watch.prove()
    expect(watch.heard).toEqual([record.id])
  })

  test('a pool of one connection, which listening would use up, is refused with what to do', async () => {
    const { schema } = await watched()
    await expect(newWatch(newPool({ max: 1 }), { schema, timeoutMs: 4000 })).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringMatching(/raise the pool’s max/),
    })
    const watch = await newWatch(newPool({ max: 1 }), { schema, listen: () => new Client(url) })
    await watch.prove()
  })

  test('law 11: a near cache that is left open holds no process, and is ready before that', async () => {
    const { schema } = await watched()
    const program = `
      import { Pool } from 'pg'
      import { createSessions } from '../../src/core/sessions.ts'
      import { postgresStore } from '../../src/stores/postgres.ts'
      const pool = new Pool({ connectionString: '${url}', allowExitOnIdle: true })
      const store = postgresStore(pool, { schema: '${schema}' })
      await createSessions({ store, secret: '${SECRET}', production: false, nearCache: true }).ready()
      console.log('ready')`
    const run = promisify(execFile)
    const args = ['--input-type=module', '-e', program]
    const { stdout } = await run(process.execPath, args, { cwd: import.meta.dirname, timeout: 20_000 })
    expect(stdout).toBe('ready\n')
  })

  test('the pool can be ended though the near cache was not closed', async () => {
    const { schema } = await watched()
    const pool = new Pool({ connectionString: url })
    const near = createSessions({
      store: postgresStore(pool, { schema }),
      secret: SECRET,
      production: false,
      nearCache: { lease: 400 },
    })
    endings.push(() => near.close())
    await near.ready()
    const lost = new Promise(resolve => near.on('near-cache.lost', resolve))
    await pool.end()
    await lost
  })
})

describe.skipIf(postgres.missing)('law 4: what was acknowledged while changes are told', () => {
  // Guard: in errors.ts the exception of `flush`.
  test('law 6: is not said not to be done if only its flush failed', async () => {
    const pool = newPool()
    const schema = await newSchema(pool)
    await newWatch(pool, { schema })
    await pool.query(
      `CREATE FUNCTION ${schema}.pg_logical_emit_message(boolean, text, text) RETURNS text LANGUAGE plpgsql
       AS $$ BEGIN RAISE query_canceled; END $$`,
    )
    const store = postgresStore(newPool({ options: `-c search_path=${schema},pg_catalog` }), { schema })
    const record = await storedRecord(store)
    const failed = { code: 'STORE_UNAVAILABLE', cause: { code: '57014' }, notDone: false }
    await expect(store.replace(nextVersion(record), later())).rejects.toMatchObject(failed)
    expect(await store.read(record.id)).toMatchObject({ version: 2 })
  })

  // Guard: in postgres.ts `#flushed`. The server would write by itself ten seconds later.
  test('survives a crash of the server at that moment', async () => {
    const server = await startPostgres(['-c', 'wal_writer_delay=10s'])
    if ('missing' in server) throw new Error(server.missing)
    endings.push(() => server.stop())
    const pool = newPool({ connectionString: server.url })
    await migrate(pool)
    const store = postgresStore(pool)
    const [saved, ended, begun] = [await storedRecord(store), await storedRecord(store), await storedRecord(store)]
    await newWatch(pool, {})
    expect(await store.replace(nextVersion(saved, { data: '{"kept":1}' }), later())).toBe('saved')
    await server.kill()
    await server.restart()
    expect(await store.read(saved.id)).toMatchObject({ version: 2, data: '{"kept":1}' })
    expect(await store.delete(ended.id)).toBe(true)
    await server.kill()
    await server.restart()
    expect(await store.read(ended.id)).toBeUndefined()
    const { userEpoch } = await store.marks('ann')
    expect(await store.replace(nextVersion(begun, { userId: 'ann', userEpoch }), later())).toBe('saved')
    await server.kill()
    await server.restart()
    expect(await store.read(begun.id)).toMatchObject({ userId: 'ann' })
    expect(await store.revokeUser('ann')).toEqual([begun.id])
    await server.kill()
    await server.restart()
    expect(await store.read(begun.id)).toBeUndefined()
  }, 60_000)
})
