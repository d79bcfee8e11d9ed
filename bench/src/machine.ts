import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { cpus, totalmem } from 'node:os'
import { storeVersions } from './apps/shared-stores.ts'
import type { Schedule } from './measure/throughput.ts'
import type { Cores } from './processes/cores.ts'

const LIBRARIES = [
  'express',
  'express-session',
  'memorystore',
  'fast-jwt',
  'jsonwebtoken',
  'better-auth',
  'hono',
  '@hono/node-server',
  'fastify',
  '@fastify/session',
  'connect-redis',
  'connect-pg-simple',
  'redis',
  'pg',
  'mongodb',
  'memcache-client',
]

/** What a reader must know to judge the numbers; nothing that tells whose machine it was. */
export async function describeMachine(cores: Cores, schedule: Schedule): Promise<Readonly<Record<string, string>>> {
  const { starts, rounds, sliceMs, connections } = schedule
  return {
    ...describeHost(),
    cores:
      cores.server === undefined
        ? 'not bound: no taskset, or a single core'
        : `server on ${cores.server}, load and the stores' servers on ${cores.load}`,
    stores: await storeVersions(),
    schedule: `servers started ${starts} times, each time ${rounds} rounds of ${sliceMs} ms a subject, ${connections} keep-alive connections`,
    libraries: (await Promise.all(LIBRARIES.map(version))).join(', '),
  }
}

/** The same of the machine alone. */
export function describeHost(): Readonly<Record<string, string>> {
  return {
    when: new Date().toISOString().slice(0, 16).replace('T', ' '),
    commit: commit(),
    node: process.version,
    machine: `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform}`,
  }
}

function commit(): string {
  try {
    const git = (...args: string[]) =>
      execFileSync('git', args, { encoding: 'utf8', cwd: import.meta.dirname, stdio: 'pipe' }).trim()
    const changed = git('status', '--porcelain', '--', '../../packages') === '' ? '' : ' and uncommitted changes'
    return git('rev-parse', '--short', 'HEAD') + changed
  } catch {
    return 'unknown'
  }
}

async function version(name: string): Promise<string> {
  const candidates = [
    new URL(`../node_modules/${name}/package.json`, import.meta.url),
    new URL(`../../node_modules/${name}/package.json`, import.meta.url),
  ]
  for (const url of candidates) {
    const text = await readFile(url, 'utf8').catch(() => undefined)
    if (text !== undefined) return `${name} ${(JSON.parse(text) as { version: string }).version}`
  }
  return name
}
