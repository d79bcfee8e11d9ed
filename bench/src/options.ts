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
  /** What is measured beside the subjects. */
  readonly parts: readonly Part[]
  readonly revocations: number
  readonly filledSessions: number
  readonly loginRounds: number
  /** Only a run of everything, at full length, is written down unless asked for. */
  readonly write: boolean
  /** What the results' file is called after the day: a part never takes the whole run's place. */
  readonly suffix: string
}

/** The stores whose revocations are timed, near cache on. */
export const REVOCATIONS = [
  { name: 'revocation-redis', store: 'redis', needs: 'REDIS_URL' },
  { name: 'revocation-postgres', store: 'postgres', needs: 'DATABASE_URL' },
  { name: 'revocation-mongo', store: 'mongo', needs: 'MONGODB_URL' },
] as const

/** Measurements that are not of one subject, by their names for `--only`. */
const PARTS = [...REVOCATIONS.map(({ name }) => name), 'bytes', 'logins'] as const
export type Part = (typeof PARTS)[number]

const FULL: Schedule = { starts: 3, rounds: 12, sliceMs: 300, warmMs: 100, firstWarmMs: 2000, connections: 32 }
const QUICK: Schedule = { starts: 1, rounds: 3, sliceMs: 500, warmMs: 150, firstWarmMs: 1000, connections: 32 }

/**
 * `--quick`, `--only name,name` (of subjects, whose limits are added, and of parts), `--rounds n`, `--write`.
 *
 * @throws Error for a name that does not exist, with the names of those that do
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
    ...chosen(values.only?.split(',')),
    schedule: { ...schedule, rounds },
    loopRounds: values.quick ? 3 : 9,
    loopMs: values.quick ? 200 : 400,
    revocations: values.quick ? 500 : 10_000,
    filledSessions: values.quick ? 20_000 : 1_000_000,
    loginRounds: values.quick ? 1 : 6,
    write: values.write ?? !(values.quick || values.only),
    suffix: [...(values.only?.split(',') ?? []), ...(values.quick ? ['quick'] : [])].map(name => `-${name}`).join(''),
  }
}

function chosen(names: readonly string[] | undefined): Pick<BenchOptions, 'subjects' | 'parts'> {
  if (names === undefined) return { subjects: SUBJECTS, parts: PARTS }
  const known = [...SUBJECTS.map(({ name }) => name), ...PARTS]
  const unknown = names.filter(name => !known.includes(name))
  if (unknown.length > 0) throw new Error(`No subject ${unknown.join(', ')}. There are: ${known.join(', ')}.`)
  const families = SUBJECTS.filter(({ name }) => names.includes(name)).map(({ family }) => family)
  return {
    subjects: SUBJECTS.filter(
      ({ name, role, family }) => names.includes(name) || (role === 'limit' && families.includes(family)),
    ),
    parts: PARTS.filter(part => names.includes(part)),
  }
}
