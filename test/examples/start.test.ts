import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readdir, readlink, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const run = promisify(execFile)

let folder = ''
let npm: ChildProcess | undefined

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coatcheck-clone-'))
  await run('git', ['clone', '--quiet', '--depth', '1', `file://${root}`, join(folder, 'clone')])
  await linkModules(join(root, 'node_modules'), join(folder, 'clone/node_modules'))
})

afterAll(async () => {
  await stopped(npm)
  await rm(folder, { recursive: true, force: true })
})

/**
 * What `npm ci` would install, without a registry: the packages are those of this checkout, and the links between the
 * workspaces, which npm makes relative, lead into the clone.
 */
async function linkModules(from: string, to: string): Promise<void> {
  await mkdir(to)
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    if (entry.isSymbolicLink()) await symlink(await readlink(source), target)
    else if (entry.name.startsWith('@') || entry.name === '.bin') await linkModules(source, target)
    else if (entry.isDirectory()) await symlink(source, target)
    else await cp(source, target)
  }
}

/** Ends npm and all that it has started. */
async function stopped(child: ChildProcess | undefined): Promise<void> {
  if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  process.kill(-child.pid, 'SIGTERM')
  await exited
}

/** What it prints, until it says where it listens. */
async function started(child: ChildProcess): Promise<{ readonly url: string; readonly printed: string }> {
  const printed: string[] = []
  for await (const line of createInterface({ input: child.stdout! })) {
    printed.push(line)
    const [url] = /http:\/\/localhost:\d+/.exec(line) ?? []
    if (url !== undefined) return { url, printed: printed.join('\n') }
  }
  throw new Error(`npm start ended before the app listened:\n${printed.join('\n')}`)
}

test('a clone holds all that `npm start` needs: it builds, starts, prints its first accounts, and they can sign in', {
  timeout: 300_000,
}, async () => {
  // As whoever cloned it has it: npm puts this repository's own Node first.
  const own = process.env.PATH?.split(delimiter).filter(path => !path.includes('node_modules'))
  const env = { PATH: own?.join(delimiter), HOME: folder, PORT: '0', npm_config_update_notifier: 'false' }
  npm = spawn('npm', ['start'], { cwd: join(folder, 'clone'), env, detached: true, stdio: ['ignore', 'pipe', 'inherit'] })
  const { url, printed } = await started(npm)
  const [, email, password] = /^ {2}admin +(\S+@\S+) +(\S{20})$/m.exec(printed) ?? []

  const login = (tried: object) =>
    fetch(`${url}/login`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(tried) })
  const dashboard = async (cookie: string) => (await fetch(`${url}/dashboard`, { headers: { cookie } })).json()
  expect((await login({ email, password: 'wrong password' })).status).toBe(401)
  expect(await dashboard('')).toEqual({ error: 'Not authenticated' })
  const answer = await login({ email, password })
  expect(answer.status).toBe(200)
  const cookies = answer.headers.getSetCookie().map(line => line.slice(0, line.indexOf(';')))
  expect(await dashboard(cookies.join('; '))).toMatchObject({ role: 'admin' })
  expect(await readdir(join(folder, 'clone/data'))).toEqual(expect.arrayContaining(['sessions.db', 'session-secret']))
})
