import type { StoreCalls } from './measure/store-calls.ts'
import type { Slice, Throughput } from './measure/throughput.ts'
import { median, range, spread } from './statistics.ts'
import type { SubjectEntry } from './subject.ts'

/** Everything that one run found out. */
export interface Findings {
  readonly machine: Readonly<Record<string, string>>
  readonly subjects: readonly SubjectEntry[]
  readonly throughput: ReadonlyMap<string, Throughput>
  readonly inProcess: ReadonlyMap<string, readonly number[]>
  readonly storeCalls: readonly StoreCalls[]
  /** What was not measured, and why. */
  readonly missing: ReadonlyMap<string, string>
}

/** One line of the throughput table. */
export interface Row {
  readonly name: string
  readonly title: string
  /** Requests a second, divided by the limit's of the same round; the median of the rounds, and their extremes. */
  readonly ratio: number
  readonly ratioRange: readonly [number, number]
  readonly perSecond: number
  /** The limit's processor time per request divided by this one's. */
  readonly cpuRatio: number
  readonly cpuUs: number
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
export function throughputRows({ subjects, throughput }: Findings, family: SubjectEntry['family']): readonly Row[] {
  const ofFamily = subjects.filter(subject => subject.family === family)
  const limit = throughput.get(ofFamily.find(({ role }) => role === 'limit')?.name ?? '')
  if (limit === undefined) return []
  return ofFamily.flatMap(({ name, title }) => {
    const own = throughput.get(name)
    return own === undefined ? [] : [row(name, title, own, limit)]
  })
}

function row(name: string, title: string, own: Throughput, limit: Throughput): Row {
  const ratios = own.slices.map((slice, round) => slice.perSecond / limit.slices[round]!.perSecond)
  const cpuRatios = own.slices.map((slice, round) => limit.slices[round]!.cpuUs / slice.cpuUs)
  return {
    name,
    title,
    ratio: median(ratios),
    ratioRange: range(ratios),
    perSecond: median(own.slices.map(slice => slice.perSecond)),
    cpuRatio: median(cpuRatios),
    cpuUs: median(own.slices.map(slice => slice.cpuUs)),
    requestBytes: own.requestBytes,
    responseBytes: own.responseBytes,
  }
}

/** What makes the numbers of this run doubtful, in words; empty on a quiet machine. */
export function warnings({ throughput }: Findings): readonly string[] {
  return [...throughput].flatMap(([name, { slices }]) => {
    const of = (value: (slice: Slice) => number) => slices.map(value)
    const rates = spread(of(slice => slice.perSecond))
    const core = median(of(slice => slice.coreShare))
    const load = median(of(slice => slice.loadBusy))
    return [
      ...(rates > WIDE_SPREAD
        ? [`${name}: the middle half of the rounds lies ${percent(rates)} apart; the machine was not quiet.`]
        : []),
      ...(core < SCANT_CORE
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
    ['## Requests on one core', 'A signed-in, unchanged GET that reads its session.'],
    throughputTable(findings, 'express'),
    throughputTable(findings, 'hono'),
    inProcessTable(findings),
    storeCallsTable(findings.storeCalls),
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

function throughputTable(findings: Findings, family: SubjectEntry['family']): readonly string[] {
  const rows = throughputRows(findings, family)
  if (rows.length === 0) return []
  const lines = rows.map(one => [
    one.title,
    one.ratio.toFixed(2),
    one.ratioRange.map(value => value.toFixed(2)).join('–'),
    String(Math.round(one.perSecond)),
    one.cpuRatio.toFixed(2),
    one.cpuUs.toFixed(1),
    `${one.requestBytes} / ${one.responseBytes}`,
  ])
  return table(['', 'of the limit', 'rounds', 'requests/s', 'by processor time', 'µs/request', 'bytes in / out'], lines)
}

/** What each subject adds to the limit, by the difference of their loops in the same round. */
export function addedInProcess({
  subjects,
  inProcess,
}: Findings): readonly { name: string; title: string; addedUs: number; range: readonly [number, number] }[] {
  const limit = inProcess.get('express-limit')
  if (limit === undefined) return []
  return subjects.flatMap(({ name, title, role }) => {
    const own = inProcess.get(name)
    if (own === undefined || role === 'limit') return []
    const added = own.map((cost, round) => cost - limit[round]!)
    return [{ name, title, addedUs: median(added), range: range(added) }]
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

function list(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : [title, ...lines.map(line => `- ${line}`)]
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const widths = head.map((cell, column) => Math.max(...[cell, ...rows.map(cells => cells[column]!)].map(text => text.length), 3))
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join(' | ')} |`
  const rule = `|${widths.map((width, column) => (column === 0 ? `:${'-'.repeat(width + 1)}` : `${'-'.repeat(width + 1)}:`)).join('|')}|`
  return [line(head), rule, ...rows.map(line)]
}

function percent(part: number): string {
  return `${Math.round(part * 100)} %`
}
