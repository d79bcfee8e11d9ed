import { list, table } from '../markdown.ts'
import type { Verdict } from '../verdicts.ts'
import type { Comparison } from './operations.ts'
import { usesIndexes } from './plans.ts'
import type { PostgresScale } from './postgres.ts'
import type { RedisScale } from './redis.ts'

/** Everything that one run at scale found out. */
export interface ScaleFindings {
  readonly machine: Readonly<Record<string, string>>
  readonly smallSessions: number
  readonly postgres: PostgresScale | undefined
  readonly redis: RedisScale | undefined
  /** What was not measured, and why. */
  readonly missing: ReadonlyMap<string, string>
}

const GIB = 2 ** 30

/** On everything that was measured of Postgres; nothing was asked of Redis. */
export function scaleVerdicts({ postgres }: ScaleFindings): readonly Verdict[] {
  if (postgres === undefined) return []
  const { operations, touches, prune, plans } = postgres
  const asked = operations.filter(({ operation }) => operation !== 'touch')
  const pruning = (['read', 'save'] as const).map(operation => {
    const ratio = prune.pruning[operation].p99 / prune.quiet[operation].p99
    return verdict(
      `p99 of ${operation} while ${prune.pruned} are pruned, to before`,
      '2.00 or less',
      ratio.toFixed(2),
      ratio <= 2,
    )
  })
  return [
    ...asked.map(({ operation, ratio }) =>
      verdict(`p99 of ${operation}, to that of the small table`, '1.50 or less', ratio.toFixed(2), ratio <= 1.5),
    ),
    verdict('touches that write no index (HOT)', 'all', `${touches.hot} of ${touches.count}`, touches.hot === touches.count),
    ...pruning,
    verdict('statements that read through the table', 'none', usesIndexes(plans) ? 'none' : 'some', usesIndexes(plans)),
  ]
}

function verdict(title: string, asked: string, measured: string, met: boolean): Verdict {
  return { title, asked, measured, met }
}

/** The whole run as Markdown. */
export function scaleMarkdown(findings: ScaleFindings): string {
  const verdicts = scaleVerdicts(findings)
  const lines = verdicts.map(({ title, asked, measured, met }) => [title, asked, measured, met ? 'met' : 'MISSED'])
  const parts = [
    ['# Bench at scale', ...Object.entries(findings.machine).map(([key, value]) => `- ${key}: ${value}`)],
    lines.length === 0 ? [] : ['## What is asked for', '', ...table(['', 'asked', 'measured', ''], lines)],
    ...postgresParts(findings),
    ...redisParts(findings),
    list(
      '## Not measured',
      [...findings.missing].map(([name, why]) => `${name}: ${why}`),
    ),
  ]
  return `${parts
    .filter(part => part.length > 0)
    .map(part => part.join('\n'))
    .join('\n\n')}\n`
}

function postgresParts({ postgres, smallSessions }: ScaleFindings): readonly (readonly string[])[] {
  if (postgres === undefined) return []
  const { sessions, tableBytes, indexBytes, operations, touches, prune, plans } = postgres
  const size = `${(tableBytes / GIB).toFixed(2)} GiB of table and ${(indexBytes / GIB).toFixed(2)} GiB of indexes`
  const each = Math.round((tableBytes + indexBytes) / sessions)
  return [
    [
      `## Postgres, ${sessions} sessions`,
      `${postgres.settings}.`,
      `Filled in ${postgres.fillSeconds.toFixed(0)} s: ${size}, ${each} bytes a session with address and browser.`,
    ],
    comparisonTable(operations, smallSessions, sessions),
    [`Of ${touches.count} touches ${touches.hot} wrote no index (HOT).`],
    pruneTable(prune),
    [
      'How the sessions of each statement are found:',
      '',
      ...plans.map(({ operation, scans }) => `- ${operation}: ${scans.join(', ')}`),
    ],
  ]
}

function pruneTable({ pruned, ended, seconds, longestMs, quiet, pruning }: PostgresScale['prune']): readonly string[] {
  const lines = (['read', 'save'] as const).flatMap(operation =>
    [quiet, pruning].map((when, during) => [
      `${operation}, ${during === 0 ? 'before' : 'while pruning'}`,
      String(when[operation].count),
      ...[when[operation].p50, when[operation].p99, when[operation].max].map(ms => ms.toFixed(2)),
    ]),
  )
  return [
    `${pruned} of ${ended} ended sessions, strewn over the table, were deleted in ${seconds.toFixed(0)} s, 1000 a call, one call after the other; the slowest call took ${longestMs.toFixed(0)} ms:`,
    '',
    ...table(['', 'number', 'p50, ms', 'p99, ms', 'max, ms'], lines),
  ]
}

function redisParts({ redis, smallSessions }: ScaleFindings): readonly (readonly string[])[] {
  if (redis === undefined) return []
  const { sessions, endedBy, fillSeconds, bytesPerSession, operations, version } = redis
  const why = endedBy === undefined ? '' : ` (${endedBy})`
  return [
    [
      `## Redis, ${sessions} sessions${why}`,
      `Redis ${version}. Filled by the store’s own logins in ${fillSeconds.toFixed(0)} s; ${bytesPerSession.toFixed(0)} bytes a session with address and browser, two to a person.`,
    ],
    comparisonTable(operations, smallSessions, sessions),
  ]
}

function comparisonTable(rows: readonly Comparison[], small: number, big: number): readonly string[] {
  const lines = rows.map(({ operation, calls, small, big, ratio }) => [
    operation,
    String(calls),
    ...[small.p50, big.p50, small.p99, big.p99, ratio].map(value => value.toFixed(2)),
  ])
  const head = ['', 'calls', `p50 at ${small}, ms`, `p50 at ${big}, ms`, `p99 at ${small}, ms`, `p99 at ${big}, ms`, 'p99, ratio']
  return table(head, lines)
}
