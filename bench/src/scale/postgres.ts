import { setTimeout as sleep } from 'node:timers/promises'
import { migrate, postgresStore } from 'coatcheck/postgres'
import type { Pool } from 'pg'
import { postgresPool } from '../apps/shared-stores.ts'
import { DAY_MS, idAt, makeTemplate, type Plan, userIdAt, WHERE_FROM } from '../fill/plan.ts'
import { fillPostgres, sizeOf } from '../fill/postgres.ts'
import { type Latency, latencyOf } from '../statistics.ts'
import { type Comparison, compare, serve, type Target, touchMany } from './operations.ts'
import type { ScaleOptions } from './options.ts'
import { explaining, type PlanOf } from './plans.ts'

/** What was found at the great size. */
export interface PostgresScale {
  readonly settings: string
  readonly sessions: number
  readonly fillSeconds: number
  readonly tableBytes: number
  readonly indexBytes: number
  readonly operations: readonly Comparison[]
  /** Of so many touches, how many stayed on their page and wrote no index, by the server's own count. */
  readonly touches: { readonly count: number; readonly hot: number }
  readonly prune: Pruning
  readonly plans: readonly PlanOf[]
}

/** Deleting what has ended, one batch after the other, while others are served. */
interface Pruning {
  readonly pruned: number
  /** Of so many that had ended; fewer were pruned where the time was over first. */
  readonly ended: number
  readonly seconds: number
  /** The slowest of its calls, each of 1000 rows. */
  readonly longestMs: number
  readonly quiet: { readonly read: Latency; readonly save: Latency }
  readonly pruning: { readonly read: Latency; readonly save: Latency }
}

const SETTINGS = [
  'server_version',
  'shared_buffers',
  'max_wal_size',
  'checkpoint_timeout',
  'fsync',
  'synchronous_commit',
  'autovacuum',
  'random_page_cost',
]
/** Two sessions each. */
const SESSIONS_A_PERSON = 2
/** A million of ten. */
const DEAD_EVERY = 10
const PRUNE_BATCH = 1000
/** What is slow is to be measured, not given up. */
const PATIENT_MS = 60_000
/** What is not pruned by then is counted as left. */
const MOST_PRUNE_MS = 1_800_000

/** Fills two schemas of one server, and measures them in turns. */
export async function measurePostgres(url: string, options: ScaleOptions): Promise<PostgresScale> {
  const small = await onPool(url, pool => fill(pool, 'small', options.smallSessions))
  const begun = performance.now()
  const big = await onPool(url, pool => fill(pool, 'big', options.sessions))
  const fillSeconds = (performance.now() - begun) / 1000
  const size = await onPool(url, pool => sizeOf(pool, 'big.sessions'))
  const operations = await onPool(url, pool => {
    return compare(targetOn(pool, 'small', small), targetOn(pool, 'big', big), options.rounds, options.sliceMs)
  })
  const touches = await hotTouches(url, big, options.touches)
  const plans = await onPool(url, plansOf)
  const prune = await onPool(url, pool => pruneWhileServing(targetOn(pool, 'big', big), options.serveMs))
  const settings = await onPool(url, settingsOf)
  const { sessions } = options
  return { settings, sessions, fillSeconds, tableBytes: size.table, indexBytes: size.indexes, operations, touches, prune, plans }
}

/** Each step has a pool of its own: backends report what they have counted when they end, if not earlier. */
async function onPool<Result>(url: string, act: (pool: Pool) => Promise<Result>): Promise<Result> {
  const pool = postgresPool(url)
  try {
    return await act(pool)
  } finally {
    await pool.end()
  }
}

function targetOn(pool: Pool, schema: string, plan: Plan): Target {
  return { store: postgresStore(pool, { schema, timeoutMs: PATIENT_MS }), plan }
}

async function fill(pool: Pool, schema: string, sessions: number): Promise<Plan> {
  await migrate(pool, { schema })
  const people = Math.ceil(sessions / SESSIONS_A_PERSON)
  const template = await makeTemplate(postgresStore(pool, { schema }), WHERE_FROM)
  const plan: Plan = { sessions, people, deadEvery: DEAD_EVERY, template }
  await fillPostgres(pool, schema, plan, made => void process.stderr.write(`${schema}: ${made} sessions\n`))
  // As a table that has been there for a while: its visibility known, its statistics gathered, its pages on disk.
  await pool.query(`VACUUM (ANALYZE) ${schema}.sessions`)
  await pool.query('CHECKPOINT')
  return plan
}

async function settingsOf(pool: Pool): Promise<string> {
  const { rows } = await pool.query('SELECT name, current_setting(name) AS value FROM pg_settings WHERE name = ANY ($1)', [
    SETTINGS,
  ])
  const values = new Map(rows.map(({ name, value }) => [name, value]))
  return SETTINGS.map(name => `${name} ${values.get(name)}`).join(', ')
}

async function hotTouches(url: string, plan: Plan, count: number): Promise<PostgresScale['touches']> {
  const before = await onPool(url, pool => settled(pool, 0))
  await onPool(url, pool => touchMany(targetOn(pool, 'big', plan), count))
  const after = await onPool(url, pool => settled(pool, before.updates + count))
  return { count: after.updates - before.updates, hot: after.hot - before.hot }
}

const COUNTED_WITHIN_MS = 60_000
const STILL_MS = 3000

/** The counts once there are so many updates and they stand still: backends report them late. */
async function settled(pool: Pool, atLeast: number): Promise<{ readonly updates: number; readonly hot: number }> {
  const until = performance.now() + COUNTED_WITHIN_MS
  for (let last = await updatesOf(pool); performance.now() < until; ) {
    await sleep(STILL_MS)
    const now = await updatesOf(pool)
    if (now.updates === last.updates && now.updates >= atLeast) return now
    last = now
  }
  throw new Error('The server has not counted all updates.')
}

async function updatesOf(pool: Pool): Promise<{ readonly updates: number; readonly hot: number }> {
  const { rows } = await pool.query(
    "SELECT n_tup_upd AS updates, n_tup_hot_upd AS hot FROM pg_stat_user_tables WHERE schemaname = 'big' AND relname = 'sessions'",
  )
  return { updates: Number(rows[0].updates), hot: Number(rows[0].hot) }
}

/** Nobody asks for these afterwards. */
const [ENDED, NOBODY] = [idAt(0), userIdAt(99_999_998)]

/** The plans of the store's own statements, with the values that it gives them. */
async function plansOf(pool: Pool): Promise<readonly PlanOf[]> {
  const explained = explaining(pool)
  const store = postgresStore(explained.pool, { schema: 'big' })
  const [id, userId] = [idAt(1), userIdAt(1)]
  const record = (await store.read(id))!
  const plans = [explained.takePlans('read')]
  const next = async (operation: string, act: () => unknown) => {
    await act()
    plans.push(explained.takePlans(operation))
  }
  await next('save', () => store.replace({ ...record, version: record.version + 1 }, record.expiresAt))
  await next('touch', () => store.touch(id, Date.now(), Date.now() + DAY_MS))
  await next('listByUser', () => store.listByUser(userId, 100))
  await next('scan', () => store.scan(id, 100))
  await next('delete', () => store.delete(ENDED))
  await next('revokeUser', () => store.revokeUser(NOBODY))
  await next('prune', () => store.prune?.(Date.now(), 10))
  return plans
}

/** Core prunes 100 batches in ten minutes; here they follow each other without a pause. */
async function pruneWhileServing(target: Target, quietMs: number): Promise<Pruning> {
  const end = performance.now() + quietMs
  const quiet = await serve(target, () => performance.now() > end)
  const begun = performance.now()
  const calls: number[] = []
  let [pruned, done] = [0, false]
  const pruneSome = async (): Promise<number> => {
    const asked = performance.now()
    const some = (await target.store.prune?.(Date.now(), PRUNE_BATCH)) ?? 0
    calls.push(performance.now() - asked)
    pruned += some
    return some
  }
  const pruneAll = async () => {
    try {
      while ((await pruneSome()) === PRUNE_BATCH && performance.now() - begun < MOST_PRUNE_MS);
    } finally {
      done = true
    }
  }
  const [pruning] = await Promise.all([serve(target, () => done), pruneAll()])
  const seconds = (performance.now() - begun) / 1000
  const latencies = ({ read, save }: typeof quiet) => ({ read: latencyOf(read), save: latencyOf(save) })
  const ended = Math.ceil(target.plan.sessions / DEAD_EVERY)
  const longestMs = Math.max(...calls)
  return { pruned, ended, seconds, longestMs, quiet: latencies(quiet), pruning: latencies(pruning) }
}
