import { availableMemory } from 'node:process'
import { redisStore } from 'coatcheck/redis'
import { redisClient, usedMemory } from '../apps/shared-stores.ts'
import { makeTemplate, type Plan, WHERE_FROM } from '../fill/plan.ts'
import { fillStore } from '../fill/store.ts'
import { type Comparison, compare, type Target } from './operations.ts'
import type { ScaleOptions } from './options.ts'

type Client = Awaited<ReturnType<typeof redisClient>>

/** What was found with as many sessions as memory allows. */
export interface RedisScale {
  readonly version: string
  readonly sessions: number
  /** Why there are not as many as asked for; undefined if there are. */
  readonly endedBy: string | undefined
  readonly fillSeconds: number
  readonly bytesPerSession: number
  readonly operations: readonly Comparison[]
}

/** Of the memory that is free at the start. */
const MOST_OF_FREE = 0.4
const SESSIONS_A_PERSON = 2
/** Thousands of calls wait for each other while it is filled. */
const PATIENT_MS = 60_000

/** Fills two prefixes of one server, and measures them in turns. */
export async function measureRedis(url: string, options: ScaleOptions): Promise<RedisScale> {
  const client = await redisClient(url)
  try {
    return await measureOn(client, options)
  } finally {
    client.destroy()
  }
}

async function measureOn(client: Client, options: ScaleOptions): Promise<RedisScale> {
  const small = await target(client, 'small:', options.smallSessions)
  await fillStore(small.store, small.plan)
  const big = await target(client, 'coatcheck:', options.sessions)
  const [before, begun, most] = [await usedMemory(client), performance.now(), availableMemory() * MOST_OF_FREE]
  const sessions = await fillStore(big.store, big.plan, async made => {
    if (made % 100_000 !== 0) return true
    process.stderr.write(`redis: ${made} sessions\n`)
    return (await usedMemory(client)) < most
  })
  const [after, fillSeconds] = [await usedMemory(client), (performance.now() - begun) / 1000]
  // Of those that are there.
  const plan: Plan = { ...big.plan, sessions }
  const operations = await compare(small, { ...big, plan }, options.rounds, options.sliceMs)
  const [, version = ''] = /^redis_version:(\S+)/m.exec(await client.info('server')) ?? []
  const endedBy = sessions < options.sessions ? `${MOST_OF_FREE * 100} % of the free memory was taken` : undefined
  return { version, sessions, endedBy, fillSeconds, bytesPerSession: (after - before) / sessions, operations }
}

async function target(client: Client, prefix: string, sessions: number): Promise<Target> {
  const store = redisStore(client, { prefix, timeoutMs: PATIENT_MS })
  const people = Math.ceil(sessions / SESSIONS_A_PERSON)
  return { store, plan: { sessions, people, template: await makeTemplate(store, WHERE_FROM) } }
}
