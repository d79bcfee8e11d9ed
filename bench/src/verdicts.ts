import { addedBy } from './measure/in-process.ts'
import type { Findings } from './report.ts'
import { median } from './statistics.ts'

/** Something that was asked for, and what was measured of it. */
export interface Verdict {
  readonly title: string
  readonly asked: string
  readonly measured: string
  readonly met: boolean
}

/** A revocation is slow above this, and above three times the bare round trip. */
const REVOCATION_MS = 10

/** On everything that this run has measured. */
export function verdictsOn(findings: Findings): readonly Verdict[] {
  return [...speed(findings), ...revocation(findings), ...bytes(findings), ...logins(findings)]
}

function speed(findings: Findings): readonly Verdict[] {
  return [
    ...atLeast(findings, 'memory, of the limit', 'express-coatcheck-memory', 'express-limit', 0.9),
    ...atLeast(findings, 'sqlite, of the limit', 'express-coatcheck-sqlite', 'express-limit', 0.8),
    ...inProcess(findings),
    ...atLeast(findings, 'near cache on Redis, of the limit', 'express-coatcheck-redis-near', 'express-limit', 0.9),
    ...atLeast(findings, 'near cache on Postgres, of the limit', 'express-coatcheck-postgres-near', 'express-limit', 0.9),
    ...atLeast(findings, 'strict Redis, to connect-redis', 'express-coatcheck-redis', 'express-session-redis', 1.5),
    ...atLeast(findings, 'strict Postgres, to connect-pg-simple', 'express-coatcheck-postgres', 'express-session-postgres', 3),
  ]
}

function inProcess({ inProcess }: Findings): readonly Verdict[] {
  const added = addedBy('express-coatcheck-memory', inProcess)
  if (added === undefined) return []
  const us = median(added)
  return [{ title: 'memory, added in process', asked: '1.5 µs or less', measured: `${us.toFixed(1)} µs`, met: us <= 1.5 }]
}

/** One subject's requests a second by another's of the same round, in the median. */
function atLeast({ throughput }: Findings, title: string, name: string, other: string, asked: number): readonly Verdict[] {
  const [own, theirs] = [throughput.get(name), throughput.get(other)]
  if (own === undefined || theirs === undefined) return []
  const ratio = median(own.slices.map((slice, round) => slice.perSecond / theirs.slices[round]!.perSecond))
  return [{ title, asked: `${asked.toFixed(2)} or more`, measured: ratio.toFixed(2), met: ratio >= asked }]
}

function revocation({ revocations }: Findings): readonly Verdict[] {
  return revocations.map(({ store, refused, bare }) => {
    const asked = Math.max(REVOCATION_MS, 3 * bare.p99)
    return {
      title: `revoke() to refusal in another process, ${store}, p99`,
      asked: `${asked.toFixed(1)} ms or less`,
      measured: `${refused.p99.toFixed(1)} ms`,
      met: refused.p99 <= asked,
    }
  })
}

function bytes({ bytes }: Findings): readonly Verdict[] {
  const of = (name: string) => bytes.find(row => row.name === name)?.perSession
  const [own, theirs] = [of('redis-coatcheck'), of('redis-connect')]
  if (own === undefined || theirs === undefined) return []
  const ratio = own / theirs
  return [
    {
      title: 'bytes of a session in Redis, to connect-redis',
      asked: '1.25 or less, aim 1.00',
      measured: ratio.toFixed(2),
      met: ratio <= 1.25,
    },
  ]
}

function logins({ logins }: Findings): readonly Verdict[] {
  if (logins === undefined) return []
  const ratio = logins.busy.p99 / logins.idle.p99
  const title = `a signed-in request while ${logins.logins} people sign in, p99 to idle`
  return [{ title, asked: '3.00 or less', measured: ratio.toFixed(2), met: ratio <= 3 }]
}
