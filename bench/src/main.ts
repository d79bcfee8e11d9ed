import { mkdir, writeFile } from 'node:fs/promises'
import { describeMachine } from './machine.ts'
import { measureBytes } from './measure/bytes.ts'
import { measureInProcess } from './measure/in-process.ts'
import { measureLogins } from './measure/logins.ts'
import { measureRevocation, type Revocation } from './measure/revocation.ts'
import { countStoreCalls } from './measure/store-calls.ts'
import { measureThroughput, startServers, stopServers } from './measure/throughput.ts'
import { type BenchOptions, type Part, REVOCATIONS, readOptions } from './options.ts'
import { updatePage } from './page/update.ts'
import { type Cores, chooseCores } from './processes/cores.ts'
import { startStoreServers } from './processes/store-servers.ts'
import { addedInProcess, type Findings, throughputRows, toMarkdown, warnings } from './report.ts'
import type { StoreUrl } from './subject.ts'
import { verdictsOn } from './verdicts.ts'

const options = readOptions(process.argv.slice(2))
const findings = await measure(options)
process.stdout.write(`\n${toMarkdown(findings)}`)
if (options.write) await write(findings, options)
// A subject that could not be measured is a failure of the run, never a shorter table.
if (findings.missing.size > 0) process.exitCode = 1

async function measure(options: BenchOptions): Promise<Findings> {
  const { subjects, schedule, loopRounds, loopMs } = options
  const cores = chooseCores()
  const missing = new Map<string, string>()
  const stores = await startStoreServers(neededBy(options), cores.load)
  for (const [name, why] of stores.missing) missing.set(name, why)
  try {
    const { throughput, failed } = await measureThroughput(subjects, schedule, cores)
    for (const [name, why] of failed) missing.set(name, why)
    // Fresh processes: code that has long served a network is compiled for other shapes of request than the loop's.
    const loops = await startServers(
      subjects.filter(({ name, inProcess }) => inProcess && throughput.has(name)),
      cores.server,
    )
    const inProcess = await measureInProcess(loops, loopRounds, loopMs)
    await stopServers(loops)
    const storeCalls = (await orMissing('store calls', missing, countStoreCalls)) ?? []
    const parts = await measureParts(options, cores, missing)
    const machine = await describeMachine(cores, schedule)
    return { machine, subjects, throughput, inProcess, storeCalls, ...parts, missing }
  } finally {
    await stores.stop()
  }
}

/** The servers that the subjects and parts share. */
function neededBy({ subjects, parts }: BenchOptions): readonly StoreUrl[] {
  const bySubjects = subjects.flatMap(({ needs }) => needs ?? [])
  const byParts = REVOCATIONS.filter(({ name }) => parts.includes(name)).map(({ needs }) => needs)
  return [...bySubjects, ...byParts]
}

async function measureParts(
  { parts, revocations, filledSessions, loginRounds }: BenchOptions,
  cores: Cores,
  missing: Map<string, string>,
): Promise<Pick<Findings, 'revocations' | 'bytes' | 'logins'>> {
  const part = async <Found>(name: Part, act: () => Promise<Found>): Promise<Found | undefined> => {
    if (!parts.includes(name)) return undefined
    process.stderr.write(`${name}\n`)
    return orMissing(name, missing, act)
  }
  const found: (Revocation | undefined)[] = []
  for (const { name, store } of REVOCATIONS) found.push(await part(name, () => measureRevocation(store, revocations, cores)))
  return {
    revocations: found.filter(one => one !== undefined),
    bytes: (await part('bytes', () => measureBytes(filledSessions))) ?? [],
    logins: await part('logins', () => measureLogins(loginRounds)),
  }
}

/** What was found; or nothing, and why stands among what is missing. */
async function orMissing<Found>(
  name: string,
  missing: Map<string, string>,
  act: () => Promise<Found>,
): Promise<Found | undefined> {
  try {
    return await act()
  } catch (error) {
    missing.set(name, error instanceof Error ? error.message : String(error))
    return undefined
  }
}

async function write(all: Findings, { suffix }: BenchOptions): Promise<void> {
  const folder = new URL('../results/', import.meta.url)
  const name = new Date().toISOString().slice(0, 10) + suffix
  await mkdir(folder, { recursive: true })
  await writeFile(new URL(`${name}.md`, folder), toMarkdown(all))
  await writeFile(new URL(`${name}.json`, folder), `${JSON.stringify(toJson(all), null, 2)}\n`)
  updatePage()
  process.stdout.write(`\nWritten to bench/results/${name}.md and .json, and into docs/scaling.md\n`)
}

function toJson(all: Findings): object {
  return {
    machine: all.machine,
    express: throughputRows(all, 'express'),
    hono: throughputRows(all, 'hono'),
    fastify: throughputRows(all, 'fastify'),
    addedInProcess: addedInProcess(all),
    storeCalls: all.storeCalls,
    revocations: all.revocations,
    bytes: all.bytes,
    logins: all.logins,
    asked: verdictsOn(all),
    doubts: warnings(all),
    notMeasured: Object.fromEntries(all.missing),
    slices: Object.fromEntries([...all.throughput].map(([name, { slices }]) => [name, slices])),
  }
}
