import type { SessionStore } from 'coatcheck'
import { DAY_MS, idAt, isDead, type Plan, userIdAt } from '../fill/plan.ts'
import { latencyOf, median } from '../statistics.ts'

/** A store that has been filled. */
export interface Target {
  readonly store: SessionStore
  readonly plan: Plan
}

const OPERATIONS = ['read', 'save', 'touch', 'listByUser'] as const
type Operation = (typeof OPERATIONS)[number]

/** One operation at the small size and at the great one: milliseconds, the medians of the rounds. */
export interface Comparison {
  readonly operation: Operation
  readonly calls: number
  readonly small: Quantiles
  readonly big: Quantiles
  /** Of the 99th percentiles in the same round, in the median. */
  readonly ratio: number
}

interface Quantiles {
  readonly p50: number
  readonly p99: number
}

/** Calls under way at once. */
const LANES = 4
const MOST_LISTED = 100
/** A prime: steps of it come to every session before they come to one again. */
const STRIDE = 1_000_003

/** Each operation on each target in turns, on sessions chosen at random among all that live. */
export async function compare(small: Target, big: Target, rounds: number, ms: number): Promise<readonly Comparison[]> {
  const seen = new Map<Operation, { small: number[]; big: number[] }[]>(OPERATIONS.map(operation => [operation, []]))
  for (const operation of OPERATIONS) for (const target of [small, big]) await repeat(target, operation, ms)
  for (let round = 0; round < rounds; round++) {
    for (const operation of OPERATIONS) {
      seen.get(operation)!.push({ small: await repeat(small, operation, ms), big: await repeat(big, operation, ms) })
    }
  }
  return OPERATIONS.map(operation => comparison(operation, seen.get(operation)!))
}

function comparison(operation: Operation, rounds: readonly { small: number[]; big: number[] }[]): Comparison {
  const [small, big] = [rounds.map(round => latencyOf(round.small)), rounds.map(round => latencyOf(round.big))]
  const middle = (latencies: typeof small): Quantiles => ({
    p50: median(latencies.map(({ p50 }) => p50)),
    p99: median(latencies.map(({ p99 }) => p99)),
  })
  const calls = [...small, ...big].reduce((sum, { count }) => sum + count, 0)
  return {
    operation,
    calls,
    small: middle(small),
    big: middle(big),
    ratio: median(big.map(({ p99 }, round) => p99 / small[round]!.p99)),
  }
}

/** Milliseconds of each call within so many milliseconds. */
async function repeat(target: Target, operation: Operation, ms: number): Promise<number[]> {
  const until = performance.now() + ms
  const times: number[] = []
  await lanes(async () => {
    while (performance.now() < until) times.push(await timed(target, operation, anyLiving(target.plan)))
  })
  return times
}

/** What a fleet asks: nine reads to one save, until told to stop. Milliseconds of each. */
export async function serve(
  target: Target,
  isOver: () => boolean,
): Promise<{ readonly read: number[]; readonly save: number[] }> {
  const seen = { read: [] as number[], save: [] as number[] }
  await lanes(async () => {
    for (let turn = 0; !isOver(); turn++) {
      const operation = turn % 10 === 9 ? 'save' : 'read'
      seen[operation].push(await timed(target, operation, anyLiving(target.plan)))
    }
  })
  return seen
}

/** Touches so many sessions, each once, all over the store. */
export async function touchMany(target: Target, touches: number): Promise<void> {
  const { plan } = target
  let [turn, left] = [0, touches]
  const next = () => (turn++ * STRIDE) % plan.sessions
  await lanes(async () => {
    while (left > 0) {
      const number = next()
      if (isDead(plan, number)) continue
      left--
      await timed(target, 'touch', number)
    }
  })
}

async function lanes(lane: () => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: LANES }, lane))
}

function anyLiving(plan: Plan): number {
  const number = Math.floor(Math.random() * plan.sessions)
  return isDead(plan, number) ? (number + 1) % plan.sessions : number
}

async function timed(target: Target, operation: Operation, number: number): Promise<number> {
  const call = await callOf(target, operation, number)
  const begun = performance.now()
  await call()
  return performance.now() - begun
}

/** The call, ready to be timed. A save reads its session first, as a request does. */
async function callOf({ store, plan }: Target, operation: Operation, number: number): Promise<() => Promise<void>> {
  const id = idAt(number)
  if (operation === 'read') return async () => expectFound(await store.read(id), number)
  if (operation === 'touch') return () => store.touch(id, Date.now(), Date.now() + DAY_MS)
  if (operation === 'listByUser')
    return async () => expectFound((await store.listByUser(userIdAt(number % plan.people), MOST_LISTED))[0], number)
  const record = await store.read(id)
  expectFound(record, number)
  const data = record!.data.replace('"x', '"y').replace('"yy', '"x')
  return async () => {
    const outcome = await store.replace({ ...record!, version: record!.version + 1, data }, record!.expiresAt)
    // Two lanes may have met.
    if (outcome !== 'saved' && outcome !== 'conflict') throw new Error(`Session ${number} was not saved: ${outcome}.`)
  }
}

function expectFound(found: unknown, number: number): void {
  if (found === undefined) throw new Error(`Session ${number} is missing.`)
}
