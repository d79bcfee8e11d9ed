import { readdirSync, readFileSync } from 'node:fs'
import type { Bytes } from '../measure/bytes.ts'
import type { Revocation } from '../measure/revocation.ts'
import type { Row } from '../report.ts'
import type { PostgresScale } from '../scale/postgres.ts'
import type { RedisScale } from '../scale/redis.ts'

/** What the page reads of a results file; each run has some of it. */
interface Results {
  readonly machine: { readonly when: string }
  readonly express?: readonly Row[]
  readonly revocations?: readonly Revocation[]
  readonly bytes?: readonly Bytes[]
  readonly postgres?: PostgresScale
  readonly redis?: RedisScale
}

/** A finding, and the file that it stands in. */
export interface Found<Value> {
  readonly value: Value
  readonly file: string
}

const FOLDER = new URL('../../results/', import.meta.url)

/** Every results file, the latest run first. */
export function allResults(): readonly Found<Results>[] {
  const files = readdirSync(FOLDER).filter(name => name.endsWith('.json'))
  const all = files.map(file => ({ file, value: JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as Results }))
  return all.sort((a, b) => b.value.machine.when.localeCompare(a.value.machine.when))
}

/** The latest run in which this was measured. */
export function latest<Value>(
  all: readonly Found<Results>[],
  read: (results: Results) => Value | undefined,
): Found<Value> | undefined {
  for (const { file, value } of all) {
    const found = read(value)
    if (found !== undefined) return { value: found, file }
  }
  return undefined
}
