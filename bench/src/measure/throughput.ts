import { Child } from '../processes/child.ts'
import type { Cores } from '../processes/cores.ts'
import type { ServerMark, ServerReady, SliceQuestion, SliceResult } from '../processes/messages.ts'
import type { SubjectEntry } from '../subject.ts'

/** How long and how often. */
export interface Schedule {
  /** How often the servers are started anew: two of the same code differ by some microseconds, for as long as they run. */
  readonly starts: number
  /** After each start. */
  readonly rounds: number
  readonly sliceMs: number
  readonly warmMs: number
  /** For the compiler, before the first round. */
  readonly firstWarmMs: number
  readonly connections: number
}

/** One subject's slice in one round. */
export interface Slice {
  readonly perSecond: number
  /** Processor time of the server process, user and system, per request: hardly moved by others who use the core. */
  readonly cpuUs: number
  /** The part of the time in which the server had its core, 0 to 1. Below 1: it waited for load, or for somebody else. */
  readonly coreShare: number
  readonly loadBusy: number
}

/** All slices of one subject. */
export interface Throughput {
  readonly slices: readonly Slice[]
  readonly requestBytes: number
  readonly responseBytes: number
}

interface Running {
  readonly name: string
  readonly child: Child
  readonly ready: ServerReady
  readonly slices: Slice[]
  requestBytes: number
  responseBytes: number
}

/** Servers of the subjects that started, and why the others did not. */
export interface Started {
  readonly running: readonly Running[]
  readonly failed: ReadonlyMap<string, string>
}

/** Starts every subject's server, one after the other. */
export async function startServers(subjects: readonly SubjectEntry[], core: number | undefined): Promise<Started> {
  const running: Running[] = []
  const failed = new Map<string, string>()
  for (const { name, needs } of subjects) {
    if (needs !== undefined && !process.env[needs]) failed.set(name, `${needs} is not set`)
    else await start(name)
  }
  return { running, failed }

  async function start(name: string): Promise<void> {
    try {
      running.push({
        name,
        ...(await Child.start<ServerReady>('server.ts', [name], core)),
        slices: [],
        requestBytes: 0,
        responseBytes: 0,
      })
    } catch (error) {
      failed.set(name, error instanceof Error ? error.message : String(error))
    }
  }
}

/** Lets every server end. */
export async function stopServers({ running }: Started): Promise<void> {
  for (const { child } of running) await child.stop()
}

/**
 * Every server under load, one at a time, in short slices that go round: what disturbs the machine for a while disturbs
 * all of them. A subject whose server failed at one of the starts is not in the map but among the failed.
 *
 * @throws Error at the first wrong answer: a bench of wrong answers measures nothing
 */
export async function measureThroughput(
  subjects: readonly SubjectEntry[],
  schedule: Schedule,
  cores: Cores,
): Promise<{ readonly throughput: ReadonlyMap<string, Throughput>; readonly failed: ReadonlyMap<string, string> }> {
  const failed = new Map<string, string>()
  const throughput = new Map<string, Throughput>()
  for (let start = 0; start < schedule.starts; start++) {
    process.stderr.write(`start ${start + 1} of ${schedule.starts}\n`)
    const servers = await startServers(subjects, cores.server)
    for (const [name, why] of servers.failed) failed.set(name, why)
    await runRounds(servers.running, schedule, cores)
    for (const { name, slices: own, requestBytes, responseBytes } of servers.running) {
      const before = throughput.get(name)?.slices ?? []
      throughput.set(name, { slices: [...before, ...own], requestBytes, responseBytes })
    }
    await stopServers(servers)
  }
  for (const name of failed.keys()) throughput.delete(name)
  return { throughput, failed }
}

async function runRounds(running: readonly Running[], schedule: Schedule, cores: Cores): Promise<void> {
  const { child: load } = await Child.start('load.ts', [], cores.load)
  for (const server of running) await slice(server, load, { ...schedule, sliceMs: schedule.firstWarmMs })
  for (let round = 0; round < schedule.rounds; round++) {
    for (const server of turned(running, round)) server.slices.push(await slice(server, load, schedule))
    process.stderr.write(`round ${round + 1} of ${schedule.rounds}\n`)
  }
  await load.stop()
}

/** Each round begins with another one, so that nobody always follows the same neighbour's cold caches first. */
function turned<Item>(items: readonly Item[], by: number): readonly Item[] {
  const at = by % Math.max(items.length, 1)
  return [...items.slice(at), ...items.slice(0, at)]
}

async function slice(server: Running, load: Child, { connections, warmMs, sliceMs }: Schedule): Promise<Slice> {
  const before = await server.child.ask<ServerMark>({ do: 'mark' })
  const question: SliceQuestion = { ...server.ready, connections, warmMs, ms: sliceMs }
  const seen = await load.ask<SliceResult>(question)
  const after = await server.child.ask<ServerMark>({ do: 'mark' })
  if (seen.wrong !== undefined) throw new Error(`${server.name} answered wrongly: ${seen.wrong}`)
  server.requestBytes = seen.requestBytes
  server.responseBytes = seen.responseBytes
  const cpuUs = after.cpuUs - before.cpuUs
  return {
    perSecond: seen.requests / seen.seconds,
    cpuUs: cpuUs / seen.allRequests,
    coreShare: cpuUs / 1000 / (after.atMs - before.atMs),
    loadBusy: seen.busy,
  }
}
