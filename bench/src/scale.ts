import { mkdir, statfs, writeFile } from 'node:fs/promises'
import { tmpdir, totalmem } from 'node:os'
import type { Server } from '../../test/services/server.ts'
import { describeHost } from './machine.ts'
import { updatePage } from './page/update.ts'
import { startStoreServer } from './processes/store-servers.ts'
import { readScaleOptions, type ScaleOptions } from './scale/options.ts'
import { measurePostgres, type PostgresScale } from './scale/postgres.ts'
import { measureRedis, type RedisScale } from './scale/redis.ts'
import { type ScaleFindings, scaleMarkdown, scaleVerdicts } from './scale/report.ts'

const MIB = 2 ** 20
/** Table, indexes, and what a run adds to them; and the log. */
const DISK = { bytesPerSession: 1200, more: 12_000 * MIB }

// Millions of sessions in servers of our own, which are ended and deleted at the end, whatever the end is.
const running = new Set<Server>()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stopAll().then(() => process.exit(1)))

const options = readScaleOptions(process.argv.slice(2))
const findings = await measure(options)
process.stdout.write(`\n${scaleMarkdown(findings)}`)
if (options.write) await write(findings, options.suffix)
if (findings.missing.size > 0) process.exitCode = 1

async function measure(options: ScaleOptions): Promise<ScaleFindings> {
  const missing = new Map<string, string>()
  const tried = async <Found>(name: ScaleOptions['stores'][number], act: () => Promise<Found>): Promise<Found | undefined> => {
    if (!options.stores.includes(name)) return undefined
    try {
      return await act()
    } catch (error) {
      missing.set(name, error instanceof Error ? error.message : String(error))
    } finally {
      await stopAll()
    }
  }
  // One after the other: each has the machine's memory to itself.
  const postgres = await tried('postgres', () => onPostgres(options))
  const redis = await tried('redis', () => onRedis(options))
  return { machine: describeHost(), smallSessions: options.smallSessions, postgres, redis, missing }
}

async function onPostgres(options: ScaleOptions): Promise<PostgresScale> {
  const needed = options.sessions * DISK.bytesPerSession + DISK.more
  const { bavail, bsize } = await statfs(tmpdir())
  if (bavail * bsize < needed) throw new Error(`It needs ${Math.round(needed / MIB)} MiB in ${tmpdir()}, and there is less.`)
  const settings = {
    // A sixth of the machine's memory; the rest is the system's cache.
    shared_buffers: `${Math.round(totalmem() / 6 / MIB)}MB`,
    max_wal_size: '8GB',
    checkpoint_timeout: '15min',
  }
  return measurePostgres(
    await started(
      'DATABASE_URL',
      Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ),
    options,
  )
}

async function onRedis(options: ScaleOptions): Promise<RedisScale> {
  return measureRedis(await started('REDIS_URL', ['--appendonly', 'no']), options)
}

async function started(url: 'DATABASE_URL' | 'REDIS_URL', args: readonly string[]): Promise<string> {
  const server = await startStoreServer(url, undefined, args)
  if ('missing' in server) throw new Error(server.missing)
  running.add(server)
  return server.url
}

async function stopAll(): Promise<void> {
  const servers = [...running]
  running.clear()
  await Promise.all(servers.map(server => server.stop()))
}

async function write(all: ScaleFindings, suffix: string): Promise<void> {
  const folder = new URL('../results/', import.meta.url)
  const name = `${new Date().toISOString().slice(0, 10)}-scale${suffix}`
  const json = { ...all, missing: Object.fromEntries(all.missing), asked: scaleVerdicts(all) }
  await mkdir(folder, { recursive: true })
  await writeFile(new URL(`${name}.md`, folder), scaleMarkdown(all))
  await writeFile(new URL(`${name}.json`, folder), `${JSON.stringify(json, null, 2)}\n`)
  updatePage()
  process.stdout.write(`\nWritten to bench/results/${name}.md and .json, and into docs/scaling.md\n`)
}
