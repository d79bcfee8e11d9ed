import { table } from '../markdown.ts'
import type { Bytes } from '../measure/bytes.ts'
import { REVOCATIONS } from '../options.ts'
import type { Row } from '../report.ts'
import type { PostgresScale } from '../scale/postgres.ts'
import { allResults, type Found, latest } from './results.ts'

/** What the arithmetic is done for. None of it was measured. */
const ASSUMED = {
  sessions: 1_000_000_000,
  /** Of the sessions, on one day. */
  activeShare: 0.3,
  requestsADay: 50,
  /** The busiest hour, to the mean. */
  peak: 3,
  /** Of what a core or a server can do at most. */
  use: 0.5,
  /** Memory of one master, headroom included. */
  masterGib: 32,
  /** Beyond the data: fragmentation, a fork's copies, buffers. */
  headroom: 1.5,
  /** Reads that one Redis thread answers in a second. */
  redisReads: 100_000,
  /** Of the user index beyond two million people, where its hashes are tables: measured, see docs/stores/redis.md. */
  indexTableBytes: 63,
  /** Bytes of a read on the wire beside the record: keys, protocol, TCP. */
  wireBytes: 200,
  /** Of one Postgres with its replica. */
  shardSessions: 100_000_000,
  dollarsAGib: 5,
  dollarsACore: 25,
} as const

const GIB = 2 ** 30
const SECONDS_A_DAY = 86_400

/** The parts of docs/scaling.md that follow from the results, by the name between its markers. */
export function figures(): Readonly<Record<string, string>> {
  const all = allResults()
  const row = (name: string) => latest(all, ({ express }) => express?.find(one => one.name === name))
  const bytes = (name: string) => latest(all, results => results.bytes?.find(one => one.name === name))
  return {
    requests: requestsTable(row),
    bytes: bytesTable(bytes),
    revocation: revocationTable(all),
    scale: scaleTable(all),
    reckoned: reckonedTable(row, {
      // The greater number of sessions is the nearer to what is reckoned.
      redis: latest(all, ({ redis }) => redis?.bytesPerSession) ?? asTables(perSession(bytes('redis-coatcheck-device'))),
      postgres: latest(all, ({ postgres }) => postgres && bytesOf(postgres)) ?? perSession(bytes('postgres-coatcheck-device')),
    }),
  }
}

function perSession(found: Found<Bytes> | undefined): Found<number> | undefined {
  return found && { value: found.value.perSession, file: found.file }
}

/** A run of no more than two million people has the index packed. */
function asTables(packed: Found<number> | undefined): Found<number> | undefined {
  return packed && { value: packed.value + ASSUMED.indexTableBytes, file: packed.file }
}

function bytesOf({ tableBytes, indexBytes, sessions }: PostgresScale): number {
  return (tableBytes + indexBytes) / sessions
}

type RowOf = (name: string) => Found<Row> | undefined
type BytesOf = (name: string) => Found<Bytes> | undefined

const SUBJECTS = [
  'express-limit',
  'express-coatcheck-memory',
  'express-coatcheck-sqlite',
  'express-coatcheck-redis-near',
  'express-coatcheck-redis',
  'express-session-redis',
  'express-coatcheck-postgres-near',
  'express-coatcheck-postgres',
  'express-session-postgres',
  'express-coatcheck-mongo-near',
  'express-coatcheck-mongo',
  'express-coatcheck-memcached',
]

function requestsTable(row: RowOf): string {
  const lines = SUBJECTS.flatMap(name => {
    const found = row(name)
    if (found === undefined) return []
    const { title, ratio, perSecond, cpuUs } = found.value
    return [[title, ratio.toFixed(2), thousands(perSecond), cpuUs.toFixed(1), link(found)]]
  })
  return table(['', 'of the limit', 'requests/s', 'µs/request', 'from'], lines).join('\n')
}

function bytesTable(bytes: BytesOf): string {
  const lines = BYTES.flatMap(name => {
    const found = bytes(name)
    if (found === undefined) return []
    return [[found.value.title, found.value.perSession.toFixed(0), thousands(found.value.sessions), link(found)]]
  })
  return lines.length === 0 ? NOT_MEASURED : table(['', 'bytes a session', 'sessions', 'from'], lines).join('\n')
}

const BYTES = [
  'redis-coatcheck',
  'redis-coatcheck-device',
  'redis-connect',
  'postgres-coatcheck',
  'postgres-coatcheck-device',
  'postgres-connect',
]

const NOT_MEASURED = 'Not measured yet.'

function revocationTable(all: ReturnType<typeof allResults>): string {
  const lines = REVOCATIONS.flatMap(({ store }) => {
    const found = latest(all, ({ revocations }) => revocations?.find(one => one.store === store))
    if (found === undefined) return []
    const { refused, bare } = found.value
    return [[store, ...[refused.p50, refused.p99, refused.max, bare.p99].map(ms => ms.toFixed(1)), link(found)]]
  })
  if (lines.length === 0) return NOT_MEASURED
  return table(['ms', 'p50', 'p99', 'max', 'bare round trip, p99', 'from'], lines).join('\n')
}

function scaleTable(all: ReturnType<typeof allResults>): string {
  const lines = (['postgres', 'redis'] as const).flatMap(store => {
    const found = latest(all, results => results[store])
    if (found === undefined) return []
    return found.value.operations.map(({ operation, small, big, ratio }) => {
      const times = [small.p50, big.p50, small.p99, big.p99, ratio].map(value => value.toFixed(2))
      return [`${store}, ${operation}`, thousands(found.value.sessions), ...times, link(found)]
    })
  })
  if (lines.length === 0) return NOT_MEASURED
  const head = ['ms', 'sessions', 'p50 at 10,000', 'p50', 'p99 at 10,000', 'p99', 'p99, ratio', 'from']
  return table(head, lines).join('\n')
}

/** One line for each step: what, how, and how much. */
function reckonedTable(
  row: RowOf,
  { redis, postgres }: { redis?: Found<number> | undefined; postgres?: Found<number> | undefined },
): string {
  const near = row('express-coatcheck-redis-near') ?? row('express-coatcheck-memory')
  if (near === undefined || redis === undefined || postgres === undefined) return NOT_MEASURED
  const a = ASSUMED
  const perCore = near.value.perSecond
  const [inRedis, inPostgres] = [Math.round(redis.value), Math.round(postgres.value)]
  const mean = (a.sessions * a.activeShare * a.requestsADay) / SECONDS_A_DAY
  const peak = mean * a.peak
  const cores = Math.ceil(peak / (perCore * a.use))
  const data = (a.sessions * inRedis) / GIB
  const masters = Math.ceil((data * a.headroom) / a.masterGib)
  const memory = masters * 2 * a.masterGib
  const forReads = Math.ceil(peak / (a.redisReads * a.use))
  const network = (peak * (inRedis + a.wireBytes) * 8) / 1e9
  const shards = Math.ceil(a.sessions / a.shardSessions)
  const shardGib = (a.shardSessions * inPostgres) / GIB
  const lines = [
    ['requests, mean', `10⁹ × ${a.activeShare} active × ${a.requestsADay} ÷ ${SECONDS_A_DAY} s`, `${thousands(mean)}/s`],
    ['requests, at the peak', `× ${a.peak}`, `${thousands(peak)}/s`],
    ['cores for the sessions’ requests', `÷ (${thousands(perCore)}/s measured × ${a.use})`, thousands(cores)],
    ['Redis: data', `10⁹ × ${inRedis} bytes measured`, `${thousands(data)} GiB`],
    ['Redis: masters by memory', `× ${a.headroom} ÷ ${a.masterGib} GiB`, thousands(masters)],
    ['Redis: cells, if all reads are strict', `peak ÷ (${thousands(a.redisReads)}/s × ${a.use})`, thousands(forReads)],
    ['Redis: memory with one replica each', `masters × 2 × ${a.masterGib} GiB`, `${thousands(memory)} GiB`],
    ['Redis: network of strict reads', `peak × (${inRedis} + ${a.wireBytes}) bytes`, `${network.toFixed(1)} Gbit/s in all`],
    ['Postgres: shards', `10⁹ ÷ ${thousands(a.shardSessions)}`, thousands(shards)],
    ['Postgres: each', `${thousands(a.shardSessions)} × ${inPostgres} bytes measured`, `${thousands(shardGib)} GiB`],
    ['a month of Redis’ memory', `× $${a.dollarsAGib} a GiB`, `$${thousands(memory * a.dollarsAGib)}`],
    ['a month of those cores', `× $${a.dollarsACore} a core`, `$${thousands(cores * a.dollarsACore)}`],
  ]
  return table(['', 'how', 'how much'], lines).join('\n')
}

function link({ file }: { readonly file: string }): string {
  const name = file.replace(/\.json$/, '')
  return `[${name}](../bench/results/${name}.md)`
}

function thousands(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}
