import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest'
import { openDesk } from './desk.ts'
import { find, type Missing, whyNoInstall } from './machine.ts'
import { startMemcached } from './memcached.ts'
import { startMongo } from './mongo.ts'
import { startPostgres } from './postgres.ts'
import { startRedis } from './redis.ts'
import { startRedisCluster } from './redis-cluster.ts'
import type { Server } from './server.ts'
import { DESK, service, services } from './service.ts'

const run = promisify(execFile)

/** What each server is asked over a bare socket, and how its answer begins. */
const kinds = [
  { name: 'redis', start: startRedis, question: Buffer.from('PING\r\n'), answer: '+PONG' },
  { name: 'memcached', start: startMemcached, question: Buffer.from('version\r\n'), answer: 'VERSION' },
  // SSLRequest (PostgreSQL protocol, "SSL Session Encryption"): N is "not here, go on in plain text".
  { name: 'postgres', start: startPostgres, question: Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]), answer: 'N' },
  { name: 'mongo', start: startMongo, question: helloMessage(), answer: 'isWritablePrimary' },
] as const

// A service that cannot be had is named in the run's summary; here its tests cannot run either.
const had = await Promise.all(kinds.map(async kind => ((await service(kind.name)).missing ? [] : [kind])))

describe.each(had.flat())('a private $name', ({ start, question, answer }) => {
  const servers: Server[] = []
  afterAll(() => Promise.all(servers.map(server => server.stop())))
  const started = async () => {
    const server = present(await start())
    servers.push(server)
    return server
  }

  test('takes requests, and leaves no process and no file when it stops', async () => {
    const server = await started()
    expect(await exchange(server, question)).toContain(answer)
    const processes = familyOf(server.pid)
    await server.stop()
    expect(await refuses(server)).toBe(true)
    expect(await allEnd(processes)).toBe(true)
    expect(existsSync(server.folder)).toBe(false)
  })

  test('is gone after kill, and back under the same URL after restart', async () => {
    const server = await started()
    const { pid, url } = server
    await server.kill()
    expect(await refuses(server)).toBe(true)
    await server.restart()
    expect(server.pid).not.toBe(pid)
    expect(server.url).toBe(url)
    expect(await exchange(server, question)).toContain(answer)
  })

  test('answers nothing while it is frozen, and goes on afterwards', async () => {
    const server = await started()
    server.pause()
    await sleep(50)
    const answering = exchange(server, question)
    expect(await Promise.race([answering, sleep(300, 'silence')])).toBe('silence')
    server.resume()
    expect(await answering).toContain(answer)
  })
})

const redis = await service('redis')

describe.skipIf(redis.missing)('redis', () => {
  test('keeps across kill -9 what it acknowledged', async () => {
    const server = present(await startRedis())
    await exchange(server, Buffer.from('SET kept yes\r\n'))
    await server.kill()
    await server.restart()
    expect(await exchange(server, Buffer.from('GET kept\r\n'))).toContain('yes')
    await server.stop()
  })

  test('is one server for all files of a run', async () => {
    expect(await service('redis')).toEqual(redis)
  })

  test.runIf(process.platform === 'linux')('ends with the process that started it, even if that is killed', async () => {
    const TMPDIR = mkdtempSync(join(tmpdir(), 'coatcheck-orphan-'))
    const starter = `
      import { startRedis } from '${import.meta.dirname}/redis.ts'
      console.log((await startRedis()).pid)
      setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '--eval', starter], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, TMPDIR },
    })
    const [printed] = await once(child.stdout, 'data')
    const pid = Number(String(printed))
    expect(isAlive(pid)).toBe(true)
    child.kill('SIGKILL')
    expect(await allEnd([pid])).toBe(true)
    rmSync(TMPDIR, { recursive: true })
  })

  test('forms a cluster of six whose replica takes over from a killed master', { timeout: 120_000 }, async () => {
    const cluster = present(await startRedisCluster())
    const processes = cluster.nodes.map(node => node.pid)
    try {
      expect(cluster.nodes.length).toBe(6)
      const master = await cluster.masterOf('some key')
      await master.kill()
      const next = await eventually(async () => {
        const owner = await cluster.masterOf('some key').catch(() => master)
        return owner === master ? undefined : owner
      })
      expect(await cluster.cli(next, '-c', 'set', 'some key', 'kept')).toBe('OK')
    } finally {
      await cluster.stop()
    }
    expect(await allEnd(processes)).toBe(true)
  })
})

const chromium = await service('chromium')

test.skipIf(chromium.missing)('chromium runs', async () => {
  const { stdout } = await run(present(chromium).url ?? '', ['--version'])
  expect(stdout).toMatch(/Chrom/)
})

test.each(Object.entries(services))('%s is taken from the environment where that names it', async (name, { env }) => {
  vi.stubEnv(env, 'somewhere:1')
  const desk = await openDesk()
  expect(await (await fetch(`${desk.url}/${name}`)).json()).toEqual({ url: 'somewhere:1', how: env })
  expect(await desk.summary()).toEqual([`${name}: tested (${env})`])
  await desk.close()
})

afterEach(() => {
  vi.unstubAllEnvs()
})

describe('what cannot be had', () => {
  const FORBIDDEN = 'COATCHECK_INSTALL=0 forbids installing it'

  test('is told with its reason, and nothing is installed where that is forbidden', async () => {
    vi.stubEnv('COATCHECK_INSTALL', '0')
    expect(whyNoInstall()).toMatch(/COATCHECK_INSTALL=0/)
    const found = await find({ commands: ['no-such-server'], debian: ['no-such-package'] })
    expect(found).toEqual({ missing: `no no-such-server on PATH, and ${FORBIDDEN}` })
  })

  // Guards: `COATCHECK_INSTALL` in findInNpm, findInPypi and mongo.ts build.
  test.each([
    ['npm', 'machine.ts', `findInNpm('no-such-package@1.0.0', 'program')`],
    ['python3', 'machine.ts', `findInPypi('no-such-package==1.0.0', 'program')`],
    ['go', 'mongo.ts', 'startFerretdb()'],
  ])('nor is %s asked for it there', async (program, file, call) => {
    // A copy has nothing in its cache.
    const root = mkdtempSync(join(tmpdir(), 'coatcheck-bare-'))
    const [sources, asked] = [join(root, 'test/services'), join(root, 'asked')]
    cpSync(import.meta.dirname, sources, { recursive: true })
    mkdirSync(join(root, 'bin'))
    writeFileSync(join(root, 'bin', program), `#!/bin/sh\necho asked > ${asked}\nexit 1\n`, { mode: 0o755 })
    writeFileSync(join(root, 'package.json'), '{ "type": "module" }')
    const code = `import * as all from '${join(sources, file)}'; console.log(JSON.stringify(await all.${call}))`
    const env = { ...process.env, PATH: join(root, 'bin'), COATCHECK_INSTALL: '0' }
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', code], { env })
    expect(JSON.parse(stdout)).toEqual({ missing: FORBIDDEN })
    expect(existsSync(asked)).toBe(false)
    rmSync(root, { recursive: true })
  })

  test('counts as lacking where it is required, and so does what no test asked for', async () => {
    vi.stubEnv('PATH', '')
    vi.stubEnv('MEMCACHED_URL', '')
    vi.stubEnv('COATCHECK_INSTALL', '0')
    const desk = await openDesk()
    await fetch(`${desk.url}/memcached`)
    expect(await desk.summary()).toEqual([`memcached: NOT TESTED: no memcached on PATH, and ${FORBIDDEN}`])
    expect(await desk.lacking(['memcached', 'redis'])).toEqual(['memcached', 'redis'])
    expect(await desk.lacking([])).toEqual([])
    await desk.close()
  })

  // Guard: in global-setup.ts `throw new Error`.
  test.each([
    ['fails where it is required', 'redis', 1],
    ['does not where it is not', '', 0],
  ])('a run under CI that it was no part of %s', { timeout: 120_000 }, async (_, required, expected) => {
    const root = join(import.meta.dirname, '../..')
    const { VITEST: _vitest, [DESK]: _desk, ...env } = process.env
    const file = 'packages/coatcheck/test/core/errors.test.ts'
    const args = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', file]
    const child = spawn(process.execPath, args, {
      cwd: root,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...env, CI: 'true', REQUIRE_SERVICES: required },
    })
    const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')])
    expect(code).toBe(expected)
    expect(said.includes('REQUIRE_SERVICES names redis, but no test ran with it.')).toBe(expected === 1)
  })

  test('a service of another name is refused by name', async () => {
    const desk = await openDesk()
    const answer = await fetch(`${desk.url}/oracle`)
    expect(await answer.json()).toEqual({ missing: 'there is no service called oracle' })
    await desk.close()
  })
})

function present<T>(found: T | Missing): T {
  if (typeof found === 'object' && found !== null && 'missing' in found && found.missing) throw new Error(String(found.missing))
  return found as T
}

/** Sends bytes over a fresh connection and gives the first bytes that come back. */
async function exchange(server: Server, question: Buffer): Promise<string> {
  const socket = connect(server.port, '127.0.0.1')
  socket.write(question)
  const [answer] = await once(socket, 'data')
  socket.destroy()
  return String(answer)
}

function refuses(server: Server): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(server.port, '127.0.0.1')
    socket.once('error', () => resolve(true))
    socket.once('connect', () => socket.destroy() && resolve(false))
  })
}

/** MongoDB's `hello` as an OP_MSG (opcode 2013): `{ hello: 1, $db: 'admin' }`. */
function helloMessage(): Buffer {
  const document = Buffer.concat([
    Buffer.from('\x10hello\0\x01\0\0\0', 'latin1'),
    Buffer.from('\x02$db\0\x06\0\0\0admin\0', 'latin1'),
    Buffer.from([0]),
  ])
  const body = Buffer.concat([Buffer.alloc(5), int32(document.length + 4), document])
  return Buffer.concat([int32(body.length + 16), int32(1), int32(0), int32(2013), body])
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value)
  return bytes
}

/** A process and its children: a PostgreSQL has several. */
function familyOf(pid: number): number[] {
  const children = `/proc/${pid}/task/${pid}/children`
  const text = existsSync(children) ? readFileSync(children, 'utf8') : ''
  return [pid, ...text.split(' ').filter(Boolean).map(Number)]
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

async function allEnd(pids: readonly number[]): Promise<boolean> {
  return eventually(async () => (pids.some(isAlive) ? undefined : true))
}

async function eventually<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < 200; tries++) {
    const seen = await look()
    if (seen !== undefined) return seen
    await sleep(100)
  }
  throw new Error('It did not happen within 20 s.')
}
