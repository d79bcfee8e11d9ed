import type { Child } from '../processes/child.ts'
import type { LoopResult } from '../processes/messages.ts'
import type { Started } from './throughput.ts'

/**
 * Processor microseconds per request without a network, by subject: one value for each round. The first round is for
 * the compiler and does not count.
 */
export async function measureInProcess(
  { running }: Started,
  rounds: number,
  ms: number,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const costs = new Map<string, number[]>(running.map(({ name }) => [name, []]))
  for (const { child } of running) await loop(child, 3 * ms)
  for (let round = 0; round < rounds; round++) {
    for (const { name, child } of running) costs.get(name)!.push(await loop(child, ms))
  }
  return costs
}

/** What a subject's loop cost beyond the limit's of the same round; undefined where one was not measured. */
export function addedBy(name: string, costs: ReadonlyMap<string, readonly number[]>): readonly number[] | undefined {
  const limit = costs.get('express-limit')
  return limit && costs.get(name)?.map((cost, round) => cost - limit[round]!)
}

async function loop(child: Child, ms: number): Promise<number> {
  const { requests, cpuUs } = await child.ask<LoopResult>({ do: 'loop', ms })
  return cpuUs / requests
}
