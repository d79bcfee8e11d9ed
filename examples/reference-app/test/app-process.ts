import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const running = new Set<ChildProcess>()
// A test that fails half-way leaves no process behind.
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

const MAIN = join(import.meta.dirname, '../src/main.ts')

/** The accounts that every test begins with. */
export const admin = { email: 'admin@example.com', password: 'correct horse admin' }
export const member = { email: 'member@example.com', password: 'correct horse member' }

/** The app in a process of its own, as a person would start it. */
export interface AppProcess {
  readonly url: string
  /** All that it has printed. */
  readonly output: readonly string[]
  /** Ends it as a service manager would; gives the exit code. */
  stop(): Promise<number | null>
}

/** A folder for an app's data, removed by `remove`. */
export function dataFolder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'coatcheck-app-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

const accounts = {
  ADMIN_EMAIL: admin.email,
  ADMIN_PASSWORD: admin.password,
  MEMBER_EMAIL: member.email,
  MEMBER_PASSWORD: member.password,
}

/** Starts the app over a data folder, on a free port, and waits for its address. */
export async function startApp(dataDir: string, env: NodeJS.ProcessEnv = {}): Promise<AppProcess> {
  const { child, output } = launch({ ...accounts, DATA_DIR: dataDir, PORT: '0', ...env })
  return {
    url: await printedUrl(child, output),
    output,
    stop: () => ended(child, 'SIGTERM'),
  }
}

/** Starts the app where it is expected to refuse. */
export async function failedStart(env: NodeJS.ProcessEnv): Promise<{ readonly code: number | null; readonly output: string }> {
  const { child, output } = launch({ PORT: '0', ...env })
  const code = await exitCode(child)
  return { code, output: output.join('\n') }
}

function launch(env: NodeJS.ProcessEnv): { child: ChildProcess; output: string[] } {
  const output: string[] = []
  const { PATH, NODE_OPTIONS } = process.env
  const child = spawn(process.execPath, [MAIN], { env: { PATH, NODE_OPTIONS, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  child.once('exit', () => running.delete(child))
  for (const stream of [child.stdout, child.stderr]) {
    if (stream) createInterface({ input: stream }).on('line', line => output.push(line))
  }
  return { child, output }
}

async function printedUrl(child: ChildProcess, output: readonly string[]): Promise<string> {
  for (;;) {
    const url = output.find(line => line.includes('http://'))?.match(/http:\S+/)?.[0]
    if (url !== undefined) return url
    if (child.exitCode !== null) throw new Error(`The app ended before it listened:\n${output.join('\n')}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  child.kill(signal)
  return exitCode(child)
}

async function exitCode(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'close')
  return child.exitCode
}
