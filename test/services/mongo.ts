import { execFile } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cache, lastLine, type Missing, type Program, say, which } from './machine.ts'
import { type Recipe, type Server, startServer } from './server.ts'

const run = promisify(execFile)

const source = join(import.meta.dirname, 'ferretdb')

/** How to run MongoDB here: `mongod` where the machine has it, else FerretDB (its protocol over SQLite), built with Go. */
export async function mongoRecipe(args: readonly string[] = []): Promise<Recipe | Missing> {
  const mongod = which(['mongod'])
  if (mongod) return mongodRecipe(mongod, args)
  const ferretdb = await buildFerretdb()
  return 'missing' in ferretdb ? ferretdb : ferretdbRecipe(ferretdb)
}

/** A MongoDB (or FerretDB) of the caller's own, for tests that kill, freeze or restart it. `args` are mongod's only. */
export async function startMongo(args: readonly string[] = []): Promise<Server | Missing> {
  const recipe = await mongoRecipe(args)
  return 'missing' in recipe ? recipe : startServer(recipe)
}

function mongodRecipe(mongod: string, args: readonly string[]): Recipe {
  return {
    name: 'mongo',
    how: 'PATH',
    says: /Waiting for connections/,
    command: ({ port, folder }) => [mongod, '--bind_ip', '127.0.0.1', '--port', `${port}`, '--dbpath', folder, ...args],
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
  if (!go) return { missing: 'no mongod, no go' }
  if (process.env.COATCHECK_INSTALL === '0') return { missing: 'no mongod, and COATCHECK_INSTALL=0' }
  say('building FerretDB with go (there is no mongod; COATCHECK_INSTALL=0 refuses)')
  try {
    await mkdir(cache, { recursive: true })
    await run(go, ['build', '-buildvcs=false', '-o', path, '.'], { cwd: source, maxBuffer: 1 << 26 })
    return { path, how: 'go build' }
  } catch (error) {
    return { missing: `no mongod, and FerretDB did not build: ${lastLine(error)}` }
  }
}
