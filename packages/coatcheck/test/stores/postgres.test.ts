import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { service } from '../../../../test/services/service.ts'
import { createSessions } from '../../src/core/sessions.ts'
import { statementsFor } from '../../src/stores/postgres/statements.ts'
import { migrate, migrations, postgresStore } from '../../src/stores/postgres.ts'
import { type StoreSpace, storeLaws } from '../../src/testing/index.ts'
import { later, nextVersion, preparedRecord, sampleHash, storedRecord } from '../../src/testing/records.ts'
import { Browser, SECRET } from '../core/world.ts'

const postgres = await service('postgres')
const url = postgres.url ?? 'postgres://127.0.0.1:1/none'

const pools: Pool[] = []

function pool(connectionString = url, options: { readonly max?: number; readonly options?: string } = {}): Pool {
  const made = new Pool({ connectionString, max: 8, ...options })
  made.on('error', () => {})
  pools.push(made)
  return made
}

afterAll(async () => {
  for (const made of pools) await made.end()
})

const [one, two] = [pool(), pool()]

async function sql(text: string, values: unknown[] = []) {
  return (await one.query(text, values)).rows
}

const newName = () => `test_${randomBytes(6).toString('hex')}`

async function open(): Promise<StoreSpace & { readonly schema: string }> {
  const schema = newName()
  await migrate(one, { schema })
  const store = postgresStore(one, { schema })
  return {
    schema,
    store,
    second: () => postgresStore(two, { schema }),
    async plant(id) {
      const { generation } = await store.marks(null)
      const values = [id, generation]
      await sql(
        `INSERT INTO ${schema}.sessions VALUES ($1, 1, '', NULL, '', $2, 1, NULL, 1, 1, false, NULL, NULL, 'x', 1)`,
        values,
      )
    },
    close: async () => void (await sql(`DROP SCHEMA ${schema} CASCADE`)),
  }
}

/** Runs a test in a schema of its own. */
async function inSchema(prove: (space: Awaited<ReturnType<typeof open>>) => Promise<void>): Promise<void> {
  const space = await open()
  try {
    await prove(space)
  } finally {
    await space.close()
  }
}

describe.skipIf(postgres.missing)('the postgres store', () => {
  for (const law of storeLaws({ open })) test(law.name, law.run)

  test(
    'updates rows in place: touches and saves write no index',
    () =>
      inSchema(async ({ store, schema }) => {
        const counts = async () => {
          const [row] = await sql(
            `SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE schemaname = '${schema}' AND relname = 'sessions'`,
          )
          return { all: Number(row.n_tup_upd), hot: Number(row.n_tup_hot_upd) }
        }
        /** How many of 550 wrote no index. */
        const round = async () => {
          const before = await counts()
          const records = await Promise.all(Array.from({ length: 50 }, () => storedRecord(store, { userId: 'alice' })))
          for (let i = 1; i <= 10; i++)
            for (const { id, lastSeenAt } of records) await store.touch(id, lastSeenAt + i, later() + i)
          for (const record of records)
            expect(await store.replace(nextVersion(record, { data: '{"a":1}' }), later())).toBe('saved')
          let now = before
          const updated = async () => {
            now = await counts()
            return now.all - before.all
          }
          // The counts of a connection that is still busy come later.
          await expect.poll(updated, { timeout: 15_000, interval: 200 }).toBe(550)
          const hot = now.hot - before.hot
          console.log(`postgres: ${hot} of 550 updates were HOT`)
          return hot
        }
        // A page has no room while another test's transaction may still see its old rows: then they are tried again.
        let hot = 0
        for (let tries = 0; hot <= 500 && tries < 5; tries++) hot = await round()
        expect(hot).toBeGreaterThan(500)
      }),
    60_000,
  )

  // Guard: in shared-reads.ts setImmediate.
  test('reads of one turn of the event loop are one statement; each gives its own record, or none', () =>
    inSchema(async ({ schema }) => {
      const { own, statements } = recorded()
      const store = postgresStore(own, { schema })
      const records = await Promise.all(Array.from({ length: 150 }, () => storedRecord(store)))
      const ids = records.flatMap(({ id }) => [id, id, `not ${id}`])
      statements.length = 0
      const read = await Promise.all(ids.map(id => store.read(id)))
      expect(read.map(record => record?.id)).toEqual(records.flatMap(({ id }) => [id, id, undefined]))
      // 300 ids, 100 to a statement.
      expect(statements).toHaveLength(3)
      // As a server has them, each from a callback of its own.
      const turn = () => new Promise(resolve => setTimeout(async () => resolve(await store.read(records[0]?.id as string)), 1))
      statements.length = 0
      await Promise.all([turn(), turn(), turn()])
      expect(statements).toHaveLength(1)
      for (let i = 0; i < 3; i++) await store.read(records[i]?.id as string)
      expect(statements).toHaveLength(4)
    }))

  test('a record that is none of ours fails its own reader, and nobody who shares the statement', () =>
    inSchema(async ({ store, schema }) => {
      const [ours, foreign] = [await storedRecord(store), await storedRecord(store)]
      await sql(`UPDATE ${schema}.sessions SET data = '' WHERE id = $1`, [foreign.id])
      const [first, second, third] = await Promise.allSettled([ours.id, foreign.id, 'none'].map(id => store.read(id)))
      expect(first).toMatchObject({ status: 'fulfilled', value: { id: ours.id } })
      expect(second).toMatchObject({ status: 'rejected', reason: { code: 'FOREIGN_RECORD' } })
      expect(third).toEqual({ status: 'fulfilled', value: undefined })
    }))

  test('ends everyone by the same statements, whether there are 10 sessions or 10,000', () =>
    inSchema(async ({ schema }) => {
      const { own, statements } = recorded()
      const store = postgresStore(own, { schema })
      const asked: unknown[] = []
      for (const count of [10, 10_000]) {
        const { generation } = await store.marks(null)
        await sql(
          `INSERT INTO ${schema}.sessions
           SELECT 'id ' || $2 || ' ' || i, 1, 'h', 'user ' || i, '', $1, 1, NULL, 1, $3, false, NULL, NULL, '{}', $3
           FROM generate_series(1, $2::int) i`,
          [generation, count, later()],
        )
        expect((await store.scan(null, 20_000)).records).toHaveLength(count)
        statements.length = 0
        await store.revokeEveryone()
        asked.push(JSON.stringify(statements).replaceAll(/"values":\[[^\]]*\]/g, ''))
        expect((await store.scan(null, 20_000)).records).toEqual([])
      }
      console.log(`postgres: everyone is ended by ${asked[0]}`)
      expect(asked[0]).toMatch(/generation/)
      expect(asked[1]).toBe(asked[0])
    }))

  test('reads, saves, lists and prunes by an index', () =>
    inSchema(async ({ store, schema }) => {
      const { generation } = await store.marks(null)
      await sql(
        `INSERT INTO ${schema}.sessions
         SELECT 'id ' || i, 1, 'h', 'user ' || i % 1000, '', $1, i, NULL, i, i, false, NULL, NULL, '{}', i
         FROM generate_series(1, 20000) i`,
        [generation],
      )
      await sql(`ANALYZE ${schema}.sessions`)
      const statements = statementsFor(schema)
      const values = ['id 7', 2, 'h', 'user 7', '', generation, 1, null, 1, 1, false, null, null, '{}', 1]
      expect(await plan(statements.read, [['id 7', 'id 8']])).toMatch(/Index Scan using sessions_pkey/)
      expect(await plan(statements.save, values)).toMatch(/Index Scan using sessions_pkey/)
      expect(await plan(statements.listByUser, ['user 7', 10])).toMatch(/using sessions_user|on sessions_user/)
      expect(await plan(statements.scan, ['id 7', 10])).toMatch(/Index Scan using sessions_pkey/)
      const expired = await plan(statements.pruneExpired, [100, 10, 0])
      expect(expired).toMatch(/sessions_expires/)
      // Where most have expired, a read of the whole table seems cheaper to the planner, and a batch takes a second.
      expect(await plan(statements.pruneExpired, [15_000, 1000, 0])).toMatch(/Index Scan using sessions_expires/)
      const blocks = await plan(statements.pruneBlocks, [100, 10, '(0,0)', '(9,0)'])
      expect(blocks).toMatch(/Tid Range Scan on sessions/)
      for (const prune of [expired, blocks]) expect(prune).not.toMatch(/Seq Scan on sessions/)
    }))

  test('reads by a statement that each connection parses once; where a pooler has lost it, it is asked as a whole', () =>
    inSchema(async ({ schema }) => {
      const single = pool(url, { max: 1 })
      const store = postgresStore(single, { schema })
      const record = await storedRecord(store)
      for (let read = 0; read < 3; read++) expect((await store.read(record.id))?.id).toBe(record.id)
      const known = "SELECT statement FROM pg_prepared_statements WHERE name LIKE 'coatcheck_%'"
      expect((await single.query(known)).rows).toEqual([{ statement: statementsFor(schema).read }])
      for (let read = 0; read < 10; read++) await store.read(record.id)
      const plans = "SELECT generic_plans > 0 AS kept FROM pg_prepared_statements WHERE name LIKE 'coatcheck_%'"
      expect((await single.query(plans)).rows, 'one plan, for however many ids').toEqual([{ kept: true }])

      await single.query('DEALLOCATE ALL')
      for (let read = 0; read < 3; read++) expect((await store.read(record.id))?.id).toBe(record.id)
      expect((await single.query(known)).rows).toEqual([])
    }))

  test('prunes what idled out in a table of many blocks, and goes on where it stopped', () =>
    inSchema(async ({ store, schema }) => {
      const { generation } = await store.marks(null)
      const far = later()
      // Three to a block: 800 blocks, of which one statement reads 256.
      await sql(
        `INSERT INTO ${schema}.sessions
         SELECT 'id ' || i, 1, 'h', NULL, '', $1, 1, NULL, 1, $2::bigint, false, NULL, NULL, repeat('x', 1750), CASE WHEN i % 2 = 0 THEN 1 ELSE $2::bigint END
         FROM generate_series(1, 2400) i`,
        [generation, far],
      )
      expect(await sql(`SELECT pg_relation_size('${schema}.sessions') / 8192 > 512 AS large`)).toEqual([{ large: true }])
      for (const wanted of [1000, 200, 0]) expect(await store.prune?.(Date.now(), 1000)).toBe(wanted)
      expect(await sql(`SELECT count(*) FROM ${schema}.sessions`)).toEqual([{ count: '1200' }])
    }))

  // Guard: in postgres.ts #expiredBefore. What was deleted stays in the index until a vacuum: each batch would step over it.
  test('prunes on from where the last batch ended, in the next call too, and at the end from the beginning', () =>
    inSchema(async ({ schema }) => {
      const { own, statements, values } = recorded()
      const store = postgresStore(own, { schema })
      const begun = Array.from({ length: 60 }, (_, i) => storedRecord(store, { expiresAt: 1000 + i }, 1))
      const records = await Promise.all(begun)
      const holder = await two.connect()
      await holder.query('BEGIN')
      await holder.query(`SELECT 1 FROM ${schema}.sessions WHERE id = $1 FOR UPDATE`, [records[3]?.id])
      const froms = () =>
        statements.flatMap((text, i) =>
          text === statementsFor(schema).pruneExpired ? [Number((values[i] as unknown[])[2])] : [],
        )
      expect(await store.prune?.(Date.now(), 50)).toBe(50)
      expect(await store.prune?.(Date.now(), 50)).toBe(9)
      const walk = froms()
      expect(walk[0]).toBe(0)
      expect(walk).toEqual(walk.toSorted((a, b) => a - b))
      // Fifty without the one that is held.
      expect(walk.at(-1)).toBe(1050)
      await holder.query('COMMIT')
      holder.release()
      expect(await store.prune?.(Date.now(), 50)).toBe(1)
      expect(froms().at(-1)).toBe(0)
    }))

  // Guard: in statements.ts SKIP LOCKED.
  test('prunes without waiting for a row that another one has in hand', () =>
    inSchema(async ({ store, schema }) => {
      const held = await storedRecord(store, {}, 1)
      await storedRecord(store, {}, 1)
      const holder = await two.connect()
      await holder.query('BEGIN')
      await holder.query(`SELECT 1 FROM ${schema}.sessions WHERE id = $1 FOR UPDATE`, [held.id])
      const pruned = await Promise.race([store.prune?.(Date.now(), 10), sleep(2000, 'waited')])
      await holder.query('COMMIT')
      holder.release()
      expect(pruned).toBe(1)
      expect(await store.prune?.(Date.now(), 10)).toBe(1)
    }))

  test('law 2: a session that is carried over while a prune runs is not taken for a dead one', () =>
    inSchema(async ({ store, schema }) => {
      const [kept, dead] = [await storedRecord(store, { userId: 'admin' }), await storedRecord(store)]
      const statements = statementsFor(schema)
      const revoker = await two.connect()
      await revoker.query('BEGIN')
      await revoker.query(statements.lockGeneration)
      await revoker.query(statements.carryOver, [kept.id, kept.generation, 'the next one'])
      await revoker.query(statements.setGeneration, ['the next one'])
      const pruning = store.prune?.(Date.now(), 10)
      await sleep(200)
      await revoker.query('COMMIT')
      revoker.release()
      expect(await pruning).toBeLessThanOrEqual(1)
      await store.prune?.(Date.now(), 10)
      expect(await store.read(kept.id)).toMatchObject({ generation: 'the next one', version: 2 })
      expect(await sql(`SELECT id FROM ${schema}.sessions WHERE id = $1`, [dead.id])).toEqual([])
    }))

  test('law 2: however prunes and revocations of everyone fall, the one that is carried over survives, and only it', () =>
    inSchema(async ({ store, schema, second }) => {
      const other = await second()
      const kept = await storedRecord(store, { userId: 'admin' })
      for (let round = 0; round < 100; round++) {
        for (let i = 0; i < 3; i++) await storedRecord(store)
        await Promise.all([store.revokeEveryone(kept.id), ...[other, store, other].map(each => each.prune?.(Date.now(), 10))])
        expect(await store.read(kept.id)).toMatchObject({ version: kept.version + round + 1 })
      }
      await store.prune?.(Date.now(), 1000)
      expect(await sql(`SELECT id FROM ${schema}.sessions`)).toEqual([{ id: kept.id }])
    }))

  test('forgets epochs after ten minutes, not before', () =>
    inSchema(async ({ store, schema }) => {
      await store.revokeUser('alice')
      await store.revokeUser('bob')
      await sql(`UPDATE ${schema}.epochs SET set_at = set_at - 600000 WHERE user_id = 'alice'`)
      await sql(`UPDATE ${schema}.epochs SET set_at = set_at - 660001 WHERE user_id = 'bob'`)
      await store.prune?.(0, 10)
      expect((await store.marks('alice')).userEpoch).not.toBe('')
      expect((await store.marks('bob')).userEpoch).toBe('')
    }))

  // Guard: in client.ts the level that BEGIN names, also for the first generation.
  test('law 9: a revocation is not outrun where the server’s default level is another', () =>
    inSchema(async ({ store, schema }) => {
      const strict = pool(url, { options: '-c default_transaction_isolation=repeatable\\ read' })
      const other = postgresStore(strict, { schema })
      await Promise.all(Array.from({ length: 7 }, () => other.marks(null)))
      for (let round = 0; round < 20; round++) {
        const logins = await Promise.all(Array.from({ length: 7 }, () => preparedRecord(other, { userId: 'alice' })))
        const [, ...answers] = await Promise.all([
          other.revokeUser('alice'),
          ...logins.map(login => other.create(login, later())),
        ])
        for (const answer of answers) expect(['created', 'refused']).toContain(answer)
        for (const { id } of logins) expect(await store.read(id)).toBeUndefined()
      }
    }))
})

/** A pool, each statement that is asked of its connections, and with what. */
function recorded() {
  const own = pool()
  const statements: unknown[] = []
  const values: unknown[] = []
  own.on('connect', client => {
    const query = client.query.bind(client) as (...args: unknown[]) => unknown
    Object.assign(client, {
      query(...args: unknown[]) {
        statements.push(args[0])
        values.push(args[1])
        return query(...args)
      },
    })
  })
  return { own, statements, values }
}

async function plan(statement: string, values: unknown[]): Promise<string> {
  return (await sql(`EXPLAIN ${statement}`, values)).map(row => row['QUERY PLAN']).join('\n')
}

describe.skipIf(postgres.missing)('the tables in postgres', () => {
  test('are made once, however many processes begin at once', async () => {
    const schema = newName()
    const taken = await Promise.all([one, two, one, two].map(pool => migrate(pool, { schema })))
    expect(taken.flat()).toEqual(migrations({ schema }).map(({ number }) => number))
    await storedRecord(postgresStore(one, { schema }))
    await sql(`DROP SCHEMA ${schema} CASCADE`)
  })

  test('can be made by hand from the printed steps', async () => {
    const schema = newName()
    await sql(
      migrations({ schema })
        .map(step => step.sql)
        .join('\n'),
    )
    expect(await migrate(one, { schema })).toEqual([])
    await storedRecord(postgresStore(one, { schema }))
    await sql(`DROP SCHEMA ${schema} CASCADE`)
  })

  test('serve a role that owns nothing and may touch rows only', () =>
    inSchema(async ({ schema }) => {
      const role = newName()
      await sql(`CREATE ROLE ${role} LOGIN PASSWORD 'rows'`)
      const limited = pool(withUser(role, 'rows'))
      const store = postgresStore(limited, { schema })
      await expect(store.read('x')).rejects.toMatchObject({
        code: 'STORE_UNAVAILABLE',
        message: expect.stringMatching(/denies.*USAGE/),
      })
      await sql(`GRANT USAGE ON SCHEMA ${schema} TO ${role}`)
      await sql(
        `GRANT SELECT, INSERT, UPDATE, DELETE ON ${['sessions', 'marks', 'epochs'].map(table => `${schema}.${table}`).join()} TO ${role}`,
      )
      const record = await storedRecord(store, { userId: 'alice' })
      expect(await store.replace(nextVersion(record, { tokenHash: sampleHash() }), later())).toBe('saved')
      await store.touch(record.id, record.lastSeenAt + 1, later())
      const heard: (string | null)[] = []
      const watch = await store.watch?.(id => heard.push(id))
      await store.revokeEveryone(record.id)
      expect(await store.revokeUser('alice')).toEqual([record.id])
      await watch?.prove()
      expect(heard).toEqual([record.id, null, record.id])
      await watch?.close()
      expect(await store.prune?.(Date.now(), 10)).toBe(0)
      await sql(`DROP OWNED BY ${role}`)
      await sql(`DROP ROLE ${role}`)
    }))
})

function withUser(user: string, password: string): string {
  const changed = new URL(url)
  changed.username = user
  changed.password = password
  return changed.href
}

describe.skipIf(postgres.missing)('what is wrong with a postgres server is said by a typed error with what to do', () => {
  const other = { port: 0 }
  const web = createServer((_request, response) => void response.end('no Postgres'))
  beforeAll(async () => {
    await once(web.listen(0, '127.0.0.1'), 'listening')
    other.port = (web.address() as AddressInfo).port
  })
  afterAll(() => web.close())

  const failing: [string, () => string, RegExp][] = [
    ['a wrong password', () => withUser(new URL(url).username, 'wrong'), /refused the password/],
    ['a wrong database', () => new URL('/nowhere', url).href, /no such database/],
    ['a user that nobody made', () => withUser('nobody', 'x'), /refused the password|refused the user/],
    ['a port where nobody listens', () => 'postgres://127.0.0.1:1/postgres', /does not listen there/],
    ['a host that is not there', () => 'postgres://nowhere.invalid/postgres', /host name that/],
    ['a port where something else answers', () => `postgres://127.0.0.1:${other.port}/postgres`, /did not answer|no Postgres/],
    ['a database without our tables', () => url, /Run migrate\(pool\)/],
  ]
  for (const [what, where, remedy] of failing)
    test(what, async () => {
      const store = postgresStore(pool(where()), { schema: 'never_made' })
      const expected = { code: 'STORE_UNAVAILABLE', status: 503, message: expect.stringMatching(remedy) }
      await expect(store.read('x')).rejects.toMatchObject(expected)
      await expect(store.revokeUser('alice')).rejects.toMatchObject(expected)
    })

  // Guard: in statements.ts WRITABLE. See postgres-replica.test.ts for a real one.
  test('a server that takes no writes gives no answers either', () =>
    inSchema(async ({ store, schema }) => {
      const record = await storedRecord(store, { userId: 'alice' })
      const readOnly = postgresStore(pool(url, { options: '-c default_transaction_read_only=on' }), { schema })
      const refused = { code: 'STORE_UNAVAILABLE', message: expect.stringMatching(/read-only replica/) }
      await expect(readOnly.create(await preparedRecord(store), later())).rejects.toMatchObject(refused)
      await expect(readOnly.read(record.id)).rejects.toMatchObject(refused)
      await expect(readOnly.read('missing')).rejects.toMatchObject(refused)
      await expect(readOnly.marks('alice')).rejects.toMatchObject(refused)
      await expect(readOnly.listByUser('bob', 10)).rejects.toMatchObject(refused)
      await expect(readOnly.scan(null, 10)).rejects.toMatchObject(refused)
      await expect(readOnly.watch?.(() => {})).rejects.toMatchObject(refused)
      expect(await store.read(record.id)).toEqual(record)
    }))

  // Guard: in errors.ts NOT_DONE; without it these rotations count as of unknown outcome, and sign her out.
  test.each(['lock_timeout', 'statement_timeout'])('law 6: a write rolled back by %s signs nobody in or out', setting =>
    inSchema(async ({ store, schema }) => {
      const hurried = postgresStore(pool(url, { options: `-c ${setting}=700` }), { schema })
      const sessions = createSessions({ store: hurried, secret: SECRET, production: false })
      const ended: string[] = []
      sessions.on('session.ended', ({ reason }) => ended.push(reason))
      const browser = new Browser()
      await browser.login(sessions, 'alice')
      const client = await two.connect()
      await client.query('BEGIN')
      await client.query(`SELECT 1 FROM ${schema}.sessions FOR UPDATE`)
      const refused = { code: 'STORE_UNAVAILABLE', status: 503, notDone: true }
      await expect(browser.request(sessions, ({ session }) => session.rotate())).rejects.toMatchObject(refused)
      await expect(browser.login(sessions, 'alice')).rejects.toMatchObject(refused)
      await client.query('ROLLBACK')
      client.release()
      expect(await browser.whoAmI(sessions)).toBe('alice')
      expect(await store.listByUser('alice', 10)).toHaveLength(1)
      expect(ended).toEqual([])
    }),
  )

  test('a session of 10 MiB where maxDataBytes allows it, and is refused whole where not', () =>
    inSchema(async ({ store }) => {
      const cart = 'x'.repeat(10 * 1024 * 1024)
      const shared = { store, secret: SECRET, production: false }
      const wide = createSessions({ ...shared, maxDataBytes: 12 * 1024 * 1024 })
      const browser = new Browser()
      await browser.login(wide, 'alice')
      await browser.request(wide, ({ session }) => Object.assign(session, { cart }))
      const { session } = await browser.request(wide, () => {})
      expect(Reflect.get(session, 'cart') === cart).toBe(true)
      const narrow = createSessions(shared)
      const tooLarge = browser.request(narrow, ({ session }) => Object.assign(session, { cart: `${cart}!` }))
      await expect(tooLarge).rejects.toMatchObject({
        code: 'SESSION_TOO_LARGE',
        message: expect.stringMatching(/Nothing was saved/),
      })
      expect(await browser.whoAmI(wide)).toBe('alice')
    }))

  test('a pool that gives no connection is not asked without end, and is asked again when it does', () =>
    inSchema(async ({ schema }) => {
      const tiny = pool(url, { max: 1 })
      const store = postgresStore(tiny, { schema, timeoutMs: 100 })
      const held = await tiny.connect()
      const asked = await Promise.allSettled(Array.from({ length: 1000 }, () => store.marks(null)))
      for (const { status, ...outcome } of asked)
        expect({ status, ...outcome }).toMatchObject({
          status: 'rejected',
          reason: { code: 'STORE_UNAVAILABLE', message: expect.stringMatching(/no connection to Postgres within 100 ms/) },
        })
      await expect(store.read('x')).rejects.toMatchObject({ message: expect.stringMatching(/for some time/) })
      expect(tiny.waitingCount).toBe(1000)
      held.release()
      await expect.poll(async () => await store.read('x'), { timeout: 10_000 }).toBeUndefined()
      expect(tiny.waitingCount).toBe(0)
    }))

  // Guard: `mayBeSession` in core/sessions.ts.
  test('law 7: an id with a NUL, which Postgres refuses, is not there: no outage, and no connection is lost by it', () =>
    inSchema(async ({ schema }) => {
      const own = pool()
      const sessions = createSessions({ store: postgresStore(own, { schema }), secret: SECRET, production: false })
      const browser = new Browser()
      await browser.login(sessions, 'mallory')
      const seen = { failed: 0, connected: 0 }
      sessions.on('store.failed', () => seen.failed++)
      own.on('connect', () => seen.connected++)
      for (let i = 0; i < 5; i++) {
        await browser.request(sessions, async ({ session }) => expect(await sessions.revokeDevice(session, '\0')).toBe(false))
        expect([await sessions.get('\0'), await sessions.revoke('\0')]).toEqual([undefined, false])
        expect((await sessions.scan({ after: '\0' })).sessions).toEqual([])
      }
      expect(seen).toEqual({ failed: 0, connected: 0 })
      await sessions.close()
    }))

  test('tables of another application', async () => {
    const schema = newName()
    await sql(
      `CREATE SCHEMA ${schema}; CREATE TABLE ${schema}.sessions (sid text, sess json); CREATE TABLE ${schema}.marks (name text, value text)`,
    )
    const foreign = { code: 'FOREIGN_RECORD', message: expect.stringMatching(/schema of its own/) }
    await expect(postgresStore(one, { schema }).read('x')).rejects.toMatchObject(foreign)
    await expect(migrate(one, { schema })).rejects.toMatchObject(foreign)
    await sql(`DROP SCHEMA ${schema} CASCADE`)
  })

  test('connections that the server ends, under traffic: typed errors only, and service is back', () =>
    inSchema(async ({ schema }) => {
      const mine = newName()
      const store = postgresStore(pool(`${url}?application_name=${mine}`), { schema })
      let [done, failed] = [0, 0]
      const until = Date.now() + 1500
      const traffic = Array.from({ length: 6 }, async (_, i) => {
        while (Date.now() < until)
          try {
            const record = await storedRecord(store, { userId: `user ${i}` })
            await store.revokeUser(`user ${i}`)
            expect(await store.read(record.id)).toBeUndefined()
            done++
          } catch (error) {
            expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE' })
            failed++
          }
      })
      for (let i = 0; i < 5; i++) {
        await sleep(200)
        await sql('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', [mine])
      }
      await Promise.all(traffic)
      console.log(
        `postgres: connections ended 5 times under traffic: ${done} rounds done, ${failed} failed, each with a typed error`,
      )
      expect(failed).toBeGreaterThan(0)
      await storedRecord(store)
    }))

  test('a schema or a pool that will not do is refused at the start', () => {
    for (const schema of ['', 'A', '1a', 'a"b', 'a.b', 'x'.repeat(64)])
      expect(() => postgresStore(one, { schema })).toThrow(expect.objectContaining({ code: 'BAD_OPTION' }))
    for (const wrong of [undefined, {}, { query: one.query }])
      expect(() => Reflect.apply(postgresStore, undefined, [wrong])).toThrow(expect.objectContaining({ code: 'BAD_OPTION' }))
    for (const wrong of [{ timeoutMs: 0 }, { timeoutMs: 1.5 }, { timeoutMs: 60_001 }, { timeoutMs: '2s' }, { listen: url }])
      expect(() => Reflect.apply(postgresStore, undefined, [one, wrong])).toThrow(expect.objectContaining({ code: 'BAD_OPTION' }))
  })
})
