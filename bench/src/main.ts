import { mkdir, writeFile } from 'node:fs/promises'
import { describeMachine } from './machine.ts'
import { measureInProcess } from './measure/in-process.ts'
import type { StoreCalls } from './measure/store-calls.ts'
import { measureThroughput, startServers, stopServers } from './measure/throughput.ts'
import { type BenchOptions, readOptions } from './options.ts'
import { chooseCores } from './processes/cores.ts'
import { addedInProcess, type Findings, throughputRows, toMarkdown, warnings } from './report.ts'

const options = readOptions(process.argv.slice(2))
const findings = await measure(options)
process.stdout.write(`\n${toMarkdown(findings)}`)
if (options.write) await write(findings)
// A subject that could not be measured is a failure of the run, never a shorter table.
if (findings.missing.size > 0) process.exitCode = 1

async function measure({ subjects, schedule, loopRounds, loopMs }: BenchOptions): Promise<Findings> {
  const cores = chooseCores()
  const servers = await startServers(subjects, cores.server)
  const throughput = await measureThroughput(servers, schedule, cores)
  await stopServers(servers)
  // Fresh processes: code that has long served a network is compiled for other shapes of request than the loop's.
  const loops = await startServers(
    subjects.filter(({ name, inProcess }) => inProcess && throughput.has(name)),
    cores.server,
  )
  const inProcess = await measureInProcess(loops, loopRounds, loopMs)
  await stopServers(loops)
  const missing = new Map(servers.failed)
  const storeCalls = await storeCallsOr(missing)
  return { machine: await describeMachine(cores, schedule), subjects, throughput, inProcess, storeCalls, missing }
}

async function storeCallsOr(missing: Map<string, string>): Promise<readonly StoreCalls[]> {
  try {
    // Loaded here, so that the peers can be measured before ours is built.
    const { countStoreCalls } = await import('./measure/store-calls.ts')
    return await countStoreCalls()
  } catch (error) {
    missing.set('store calls', error instanceof Error ? error.message : String(error))
    return []
  }
}

async function write(all: Findings): Promise<void> {
  const folder = new URL('../results/', import.meta.url)
  const day = new Date().toISOString().slice(0, 10)
  await mkdir(folder, { recursive: true })
  await writeFile(new URL(`${day}.md`, folder), toMarkdown(all))
  await writeFile(new URL(`${day}.json`, folder), `${JSON.stringify(toJson(all), null, 2)}\n`)
  process.stdout.write(`\nWritten to bench/results/${day}.md and .json\n`)
}

function toJson(all: Findings): object {
  return {
    machine: all.machine,
    express: throughputRows(all, 'express'),
    hono: throughputRows(all, 'hono'),
    addedInProcess: addedInProcess(all),
    storeCalls: all.storeCalls,
    doubts: warnings(all),
    notMeasured: Object.fromEntries(all.missing),
    slices: Object.fromEntries([...all.throughput].map(([name, { slices }]) => [name, slices])),
  }
}
