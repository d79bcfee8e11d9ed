import { parseArgs } from 'node:util'
import type { Schedule } from './measure/throughput.ts'
import type { SubjectEntry } from './subject.ts'
import { SUBJECTS } from './subjects.ts'

/** What one run of the bench does. */
export interface BenchOptions {
  readonly subjects: readonly SubjectEntry[]
  readonly schedule: Schedule
  readonly loopRounds: number
  readonly loopMs: number
  /** Only a run of everything, at full length, is written down unless asked for. */
  readonly write: boolean
}

const FULL: Schedule = { rounds: 11, sliceMs: 1000, warmMs: 250, firstWarmMs: 2000, connections: 32 }
const QUICK: Schedule = { rounds: 3, sliceMs: 500, warmMs: 150, firstWarmMs: 1000, connections: 32 }

/**
 * `--quick`, `--only name,name` (limits are added), `--rounds n`, `--write`.
 *
 * @throws Error for a subject that does not exist, with the names of those that do
 */
export function readOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: { quick: { type: 'boolean' }, only: { type: 'string' }, rounds: { type: 'string' }, write: { type: 'boolean' } },
  })
  const schedule = values.quick ? QUICK : FULL
  const rounds = values.rounds === undefined ? schedule.rounds : Number(values.rounds)
  if (!Number.isSafeInteger(rounds) || rounds < 1) throw new Error(`--rounds takes a whole number above 0, not ${values.rounds}.`)
  return {
    subjects: chosen(values.only?.split(',')),
    schedule: { ...schedule, rounds },
    loopRounds: values.quick ? 3 : 9,
    loopMs: values.quick ? 200 : 400,
    write: values.write ?? !(values.quick || values.only),
  }
}

function chosen(names: readonly string[] | undefined): readonly SubjectEntry[] {
  if (names === undefined) return SUBJECTS
  const unknown = names.filter(name => !SUBJECTS.some(subject => subject.name === name))
  if (unknown.length > 0)
    throw new Error(`No subject ${unknown.join(', ')}. There are: ${SUBJECTS.map(({ name }) => name).join(', ')}.`)
  const families = SUBJECTS.filter(({ name }) => names.includes(name)).map(({ family }) => family)
  return SUBJECTS.filter(({ name, role, family }) => names.includes(name) || (role === 'limit' && families.includes(family)))
}
