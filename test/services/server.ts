import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Program, type User, userNumbers, which } from './machine.ts'
import { freePort } from './ports.ts'

/** How a kind of server is started. */
export interface Recipe {
  readonly name: string
  /** Where its program comes from, for the summary. */
  readonly how: Program['how']
  /** The program and its arguments. */
  command(place: Place): readonly [string, ...string[]]
  /** Run once, before the first start: initdb and the like. */
  prepare?(place: Place, run: (command: readonly [string, ...string[]]) => Promise<void>): Promise<void>
  /** What it prints when it takes requests; where it prints nothing, an open port has to do. */
  readonly says?: RegExp
  /** The system user to be where we are root and the server refuses that: the first of these that there is. */
  readonly users?: readonly string[]
  /** What stops it cleanly. SIGTERM unless said otherwise. */
  readonly stopSignal?: NodeJS.Signals
  url(port: number): string
}

/** What one server has to itself. */
export interface Place {
  readonly port: number
  /** An empty folder, deleted when the server stops. */
  readonly folder: string
}

/** A private server of ours on 127.0.0.1. */
export interface Server {
  readonly url: string
  readonly port: number
  /** Its data. */
  readonly folder: string
  /** Of the process that runs now. */
  readonly pid: number
  /** Ends it as a crash would (SIGKILL); its data stay. */
  kill(): Promise<void>
  /** Starts it again after `kill`, or ends it cleanly first; same port, same data. */
  restart(): Promise<void>
  /** Freezes it (SIGSTOP): connections stay open and nothing is answered. */
  pause(): void
  resume(): void
  /** Ends it and deletes its data. */
  stop(): Promise<void>
}

const STARTS_WITHIN_MS = 60_000
const STOPS_WITHIN_MS = 10_000

/** Starts a server of this kind on a free port and waits until it takes requests. */
export async function startServer(recipe: Recipe): Promise<Server> {
  const user = process.getuid?.() === 0 ? await firstUser(recipe.users ?? []) : undefined
  const place = { port: await freePort(), folder: await makeFolder(recipe.name, user) }
  try {
    await recipe.prepare?.(place, command => runToEnd(command, user))
    return serverOf(recipe, place, user, await launch(recipe, place, user))
  } catch (error) {
    await rm(place.folder, { recursive: true, force: true })
    throw error
  }
}

async function firstUser(names: readonly string[]): Promise<User | undefined> {
  const users = await Promise.all(names.map(userNumbers))
  return users.find(user => user !== undefined)
}

function serverOf(recipe: Recipe, place: Place, user: User | undefined, first: ChildProcess): Server {
  let child = first
  return {
    url: recipe.url(place.port),
    ...place,
    get pid() {
      return child.pid ?? 0
    },
    async kill() {
      await end(child, 'SIGKILL')
      await silence(place.port)
    },
    async restart() {
      await end(child, recipe.stopSignal)
      child = await relaunch(recipe, place, user)
    },
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    async stop() {
      await end(child, recipe.stopSignal)
      await rm(place.folder, { recursive: true, force: true })
    },
  }
}

async function makeFolder(name: string, user: User | undefined): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `coatcheck-${name}-`))
  if (user) await chown(folder, user.uid, user.gid)
  return folder
}

/** Every process of ours that still runs, so that none outlives us. */
const alive = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL')
})

function spawnAs(command: readonly [string, ...string[]], user: User | undefined): ChildProcess {
  const [program, ...args] = tied(command, user)
  // Where setpriv changes the user it must still be root when it starts.
  const identity = program === command[0] ? user : undefined
  const child = spawn(program, args, { ...identity, stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' })
  alive.add(child)
  child.once('exit', () => alive.delete(child))
  return child
}

/** On Linux the kernel ends the server if we die without a chance to (kill -9, out of memory). */
function tied(command: readonly [string, ...string[]], user: User | undefined): readonly [string, ...string[]] {
  const setpriv = process.platform === 'linux' && which(['setpriv'])
  if (!setpriv) return command
  const identity = user ? ['--reuid', `${user.uid}`, '--regid', `${user.gid}`, '--clear-groups'] : []
  return [setpriv, '--pdeathsig', 'KILL', ...identity, '--', ...command]
}

async function runToEnd(command: readonly [string, ...string[]], user: User | undefined): Promise<void> {
  const child = spawnAs(command, user)
  const output = collect(child)
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`${command[0]} ended with ${code}: ${output.text()}`)
}

async function launch(recipe: Recipe, place: Place, user: User | undefined): Promise<ChildProcess> {
  const child = spawnAs(recipe.command(place), user)
  const output = collect(child, recipe.says)
  const until = Date.now() + STARTS_WITHIN_MS
  while (!output.said() || !(await accepts(place.port))) {
    if (hasEnded(child)) throw new Error(`${recipe.name} ended: ${output.text()}`)
    if (Date.now() > until) throw new Error(`${recipe.name} took no requests within ${STARTS_WITHIN_MS} ms: ${output.text()}`)
    await sleep(20)
  }
  return child
}

/**
 * Starts again. What a killed server left may not let go at once: PostgreSQL's children keep its shared memory for as long
 * as they take to notice.
 */
async function relaunch(recipe: Recipe, place: Place, user: User | undefined): Promise<ChildProcess> {
  const until = Date.now() + STOPS_WITHIN_MS
  for (;;) {
    try {
      return await launch(recipe, place, user)
    } catch (error) {
      if (Date.now() > until) throw error
      await sleep(100)
    }
  }
}

/** Waits until nobody listens on the port: children of a killed server may do so a little longer than it did. */
async function silence(port: number): Promise<void> {
  const until = Date.now() + STOPS_WITHIN_MS
  while ((await accepts(port)) && Date.now() < until) await sleep(20)
}

function accepts(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

interface Output {
  /** The last of it, for a message. */
  text(): string
  /** True once the words were there, however much has been printed since. */
  said(): boolean
}

/** What a child prints; what is not read would block it. */
function collect(child: ChildProcess, words?: RegExp): Output {
  let text = ''
  let said = words === undefined
  const add = (chunk: Buffer) => {
    text += chunk
    said ||= words?.test(text) === true
    text = text.slice(-10_000)
  }
  child.stdout?.on('data', add)
  child.stderr?.on('data', add)
  child.on('error', error => add(Buffer.from(error.message)))
  return { text: () => text, said: () => said }
}

async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (hasEnded(child)) return
  const ended = once(child, 'exit')
  const harder = setTimeout(() => child.kill('SIGKILL'), STOPS_WITHIN_MS)
  child.kill(signal)
  // A frozen process would not hear it.
  child.kill('SIGCONT')
  await ended
  clearTimeout(harder)
}

function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null
}
