import { list, percent, table } from './markdown.ts'
import type { Bytes } from './measure/bytes.ts'
import { addedBy } from './measure/in-process.ts'
import type { LoginLoad } from './measure/logins.ts'
import type { Revocation } from './measure/revocation.ts'
import type { StoreCalls } from './measure/store-calls.ts'
import type { Slice, Throughput } from './measure/throughput.ts'
import { type Latency, median, range, spread } from './statistics.ts'
import type { Family, SubjectEntry } from './subject.ts'
import { verdictsOn } from './verdicts.ts'

/** Everything that one run found out. */
export interface Findings {
  readonly machine: Readonly<Record<string, string>>
  readonly subjects: readonly SubjectEntry[]
  readonly throughput: ReadonlyMap<string, Throughput>
  readonly inProcess: ReadonlyMap<string, readonly number[]>
  readonly storeCalls: readonly StoreCalls[]
  readonly revocations: readonly Revocation[]
  readonly bytes: readonly Bytes[]
  readonly logins: LoginLoad | undefined
  /** What was not measured, and why. */
  readonly missing: ReadonlyMap<string, string>
}

/** One line of the throughput table. */
export interface Row {
  readonly name: string
  readonly title: string
  /** Over a server that other processes use too. */
  readonly shared: boolean
  /** Requests a second, divided by the limit's of the same round; the median of the rounds, and their extremes. */
  readonly ratio: number
  readonly ratioRange: readonly [number, number]
  readonly perSecond: number
  /** The limit's processor time per request divided by this one's. */
  readonly cpuRatio: number
  readonly cpuUs: number
  /** The part of the time in which it had its core; the rest it waited for its store. */
  readonly coreShare: number
  readonly requestBytes: number
  readonly responseBytes: number
}

/** A median further apart than this from round to round is not to be trusted. */
const WIDE_SPREAD = 0.1
/** A server that had less of its core than this was held up by something else. */
const SCANT_CORE = 0.95
/** A load generator busier than this may be what was measured. */
const BUSY_LOAD = 0.9

/** The rows of one family, in order; nothing without its limit. */
export function throughputRows({ subjects, throughput }: Findings, family: Family): readonly Row[] {
  const ofFamily = subjects.filter(subject => subject.family === family)
  const limit = throughput.get(ofFamily.find(({ role }) => role === 'limit')?.name ?? '')
  if (limit === undefined) return []
  return ofFamily.flatMap(subject => {
    const own = throughput.get(subject.name)
    return own === undefined ? [] : [row(subject, own, limit)]
  })
}

function row({ name, title, needs }: SubjectEntry, own: Throughput, limit: Throughput): Row {
  const ratios = own.slices.map((slice, round) => slice.perSecond / limit.slices[round]!.perSecond)
  const cpuRatios = own.slices.map((slice, round) => limit.slices[round]!.cpuUs / slice.cpuUs)
  return {
    name,
    title,
    shared: needs !== undefined,
    ratio: median(ratios),
    ratioRange: range(ratios),
    perSecond: median(own.slices.map(slice => slice.perSecond)),
    cpuRatio: median(cpuRatios),
    cpuUs: median(own.slices.map(slice => slice.cpuUs)),
    coreShare: median(own.slices.map(slice => slice.coreShare)),
    requestBytes: own.requestBytes,
    responseBytes: own.responseBytes,
  }
}

/** What makes the numbers of this run doubtful, in words; empty on a quiet machine. */
export function warnings({ subjects, throughput }: Findings): readonly string[] {
  return [...throughput].flatMap(([name, { slices }]) => {
    const of = (value: (slice: Slice) => number) => slices.map(value)
    const rates = spread(of(slice => slice.perSecond))
    const core = median(of(slice => slice.coreShare))
    const load = median(of(slice => slice.loadBusy))
    return [
      ...(rates > WIDE_SPREAD
        ? [`${name}: the middle half of the rounds lies ${percent(rates)} apart; the machine was not quiet.`]
        : []),
      // What has its store elsewhere waits for it.
      ...(core < SCANT_CORE && subjects.find(subject => subject.name === name)?.needs === undefined
        ? [`${name}: the server had only ${percent(core)} of its core; trust the processor column instead.`]
        : []),
      ...(load > BUSY_LOAD
        ? [`${name}: the load generator was busy ${percent(load)} of the time; it may be the bottleneck.`]
        : []),
    ]
  })
}

/** The whole run as Markdown. */
export function toMarkdown(findings: Findings): string {
  const parts = [
    ['# Bench', ...Object.entries(findings.machine).map(([key, value]) => `- ${key}: ${value}`)],
    verdictsTable(findings),
    findings.throughput.size === 0 ? [] : REQUESTS,
    ...(['express', 'hono', 'fastify'] as const).map(family => ownTable(throughputRows(findings, family))),
    sharedTable(throughputRows(findings, 'express')),
    inProcessTable(findings),
    storeCallsTable(findings.storeCalls),
    revocationTable(findings.revocations),
    bytesTable(findings.bytes),
    loginsTable(findings.logins),
    list(
      '## Not measured',
      [...findings.missing].map(([name, why]) => `${name}: ${why}`),
    ),
    list('## Doubts', warnings(findings)),
  ]
  return `${parts
    .filter(lines => lines.length > 0)
    .map(lines => lines.join('\n'))
    .join('\n\n')}\n`
}

function verdictsTable(findings: Findings): readonly string[] {
  const verdicts = verdictsOn(findings)
  if (verdicts.length === 0) return []
  const lines = verdicts.map(({ title, asked, measured, met }) => [title, asked, measured, met ? 'met' : 'MISSED'])
  return ['## What is asked for', '', ...table(['', 'asked', 'measured', ''], lines)]
}

const REQUESTS = [
  '## Requests on one core',
  'A signed-in, unchanged GET that reads its session. What is kept lives in the process or on its disk.',
]
const RATIOS = ['of the limit', 'rounds', 'requests/s', 'by processor time', 'µs/request'] as const

function ratios(one: Row): readonly string[] {
  const rounds = one.ratioRange.map(value => value.toFixed(2)).join('–')
  return [one.ratio.toFixed(2), rounds, String(Math.round(one.perSecond)), one.cpuRatio.toFixed(2), one.cpuUs.toFixed(1)]
}

function ownTable(all: readonly Row[]): readonly string[] {
  const rows = all.filter(({ shared }) => !shared)
  if (rows.length === 0) return []
  const lines = rows.map(one => [one.title, ...ratios(one), `${one.requestBytes} / ${one.responseBytes}`])
  return table(['', ...RATIOS, 'bytes in / out'], lines)
}

function sharedTable(all: readonly Row[]): readonly string[] {
  if (!all.some(({ shared }) => shared)) return []
  const lines = all
    .filter(({ shared, name }) => shared || name === 'express-limit')
    .map(one => [one.title, ...ratios(one), percent(one.coreShare)])
  return [
    '## The same over a server that others share',
    'In the same rounds. The store’s server has the load’s core.',
    '',
    ...table(['', ...RATIOS, 'of its core'], lines),
  ]
}

/** What each subject adds to the limit, by the difference of their loops in the same round. */
export function addedInProcess({
  subjects,
  inProcess,
}: Findings): readonly { name: string; title: string; addedUs: number; range: readonly [number, number] }[] {
  return subjects.flatMap(({ name, title, role }) => {
    const added = addedBy(name, inProcess)
    return added === undefined || role === 'limit' ? [] : [{ name, title, addedUs: median(added), range: range(added) }]
  })
}

function inProcessTable(findings: Findings): readonly string[] {
  const rows = addedInProcess(findings)
  if (rows.length === 0) return []
  const lines = rows.map(one => [one.title, one.addedUs.toFixed(1), one.range.map(value => value.toFixed(1)).join(' to ')])
  return [
    '## Added in process',
    'Processor time that the sessions add to one request, without any network.',
    '',
    ...table(['', 'µs', 'rounds'], lines),
  ]
}

function storeCallsTable(rows: readonly StoreCalls[]): readonly string[] {
  if (rows.length === 0) return []
  const lines = rows.map(({ title, calls, setCookies }) => [
    title,
    Object.entries(calls)
      .map(([method, times]) => `${times} ${method}`)
      .join(', ') || 'none',
    String(setCookies),
  ])
  return ['## Of 1000 unchanged signed-in requests', '', ...table(['', 'store calls', 'Set-Cookie'], lines)]
}

const LATENCY = ['number', 'p50, ms', 'p99, ms', 'max, ms'] as const

function latencyCells({ count, p50, p99, max }: Latency): readonly string[] {
  return [String(count), ...[p50, p99, max].map(ms => ms.toFixed(2))]
}

function revocationTable(rows: readonly Revocation[]): readonly string[] {
  if (rows.length === 0) return []
  const lines = rows.flatMap(({ store, refused, bare, servedAfter }) => [
    [`${store}: from revoke() to refusal`, ...latencyCells(refused), String(servedAfter)],
    [`${store}: the bare round trip`, ...latencyCells(bare), ''],
  ])
  return [
    '## A revocation reaches another process',
    'Near cache in both, the session in the memory of the one that is asked, 32 connections at full speed on it.',
    `Meanwhile it served ${rows.map(({ store, loadPerSecond }) => `${Math.round(loadPerSecond)} requests/s (${store})`).join(', ')}.`,
    '',
    ...table(['', ...LATENCY, 'served after revoke()'], lines),
  ]
}

function bytesTable(rows: readonly Bytes[]): readonly string[] {
  if (rows.length === 0) return []
  const lines = rows.map(({ title, perSession, indexes }) => [title, perSession.toFixed(0), indexes?.toFixed(0) ?? ''])
  return [
    '## Bytes of a session',
    `At ${rows[0]!.sessions} sessions of as many people, with 120 bytes of the application’s data.`,
    '',
    ...table(['', 'bytes', 'of them indexes'], lines),
  ]
}

function loginsTable(load: LoginLoad | undefined): readonly string[] {
  if (load === undefined) return []
  const lines = [
    ['alone', ...latencyCells(load.idle)],
    [`while ${load.logins} people sign in`, ...latencyCells(load.busy)],
  ]
  return [
    '## A signed-in request while passwords are hashed',
    `All cores, argon2id as by default; the server’s memory grew by ${load.memoryMiB.toFixed(0)} MiB at most.`,
    '',
    ...table(['', ...LATENCY], lines),
  ]
}
