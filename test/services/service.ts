import { get } from 'node:http'
import { text } from 'node:stream/consumers'
import { findChromium } from './chromium.ts'
import type { Missing, Program } from './machine.ts'
import { memcachedRecipe } from './memcached.ts'
import { mongoRecipe } from './mongo.ts'
import { pgbouncerRecipe } from './pgbouncer.ts'
import { findBasebackup, postgresRecipe } from './postgres.ts'
import { redisRecipe } from './redis.ts'
import { startRedisCluster } from './redis-cluster.ts'
import { type Recipe, startServer } from './server.ts'

/** Something outside this repository that tests need. */
export type ServiceName =
  | 'redis'
  | 'redis-cluster'
  | 'postgres'
  | 'pgbouncer'
  | 'pg_basebackup'
  | 'memcached'
  | 'mongo'
  | 'chromium'

/** A service that is there. */
export interface Service {
  /** Where it is: an URL, or the path of a program. */
  readonly url: string
  /** Where it comes from: the environment variable, PATH, apt-get, … */
  readonly how: string
  readonly missing?: undefined
}

/** A service that was started by us, or found, with what ends it. */
export type Started = (Service & { stop(): Promise<void> }) | Missing

/** Gives a service that another one needs. */
type Take = (name: ServiceName) => Promise<Started>

/** How each service comes to be. The environment's URL comes first, so that a person's own server can be used. */
export const services: Record<ServiceName, { readonly env: string; start(take: Take): Promise<Started> }> = {
  redis: { env: 'REDIS_URL', start: () => fromRecipe(redisRecipe()) },
  'redis-cluster': { env: 'REDIS_CLUSTER_URL', start: startCluster },
  postgres: { env: 'DATABASE_URL', start: () => fromRecipe(postgresRecipe()) },
  pgbouncer: { env: 'PGBOUNCER_URL', start: startPgbouncer },
  pg_basebackup: { env: 'PG_BASEBACKUP_PATH', start: () => fromProgram(findBasebackup()) },
  memcached: { env: 'MEMCACHED_URL', start: () => fromRecipe(memcachedRecipe()) },
  mongo: { env: 'MONGODB_URL', start: () => fromRecipe(mongoRecipe()) },
  chromium: { env: 'CHROMIUM_PATH', start: () => fromProgram(findChromium()) },
}

/** The environment variable by which the test run's main process tells its workers where to ask. */
export const DESK = 'COATCHECK_TEST_SERVICES'

/**
 * The service of this name, shared by all test files of a run: started when the first file asks, ended with the run.
 * Whoever uses it keeps to a prefix, schema or database of its own.
 *
 * Ask at the top level of a test file (`const redis = await service('redis')`), where no timeout runs: the first time on
 * a bare machine it is installed. What cannot be had is `{ missing: reason }`, and the run says so at its end:
 * `describe.skipIf(redis.missing)`.
 */
export async function service(name: ServiceName): Promise<Service | (Missing & { readonly url?: undefined })> {
  const desk = process.env[DESK]
  if (!desk) throw new Error(`service('${name}') works under vitest only; elsewhere use test/services/desk.ts.`)
  return JSON.parse(await ask(`${desk}/${name}`))
}

/** Not `fetch`: that gives up after five minutes, and a package manager may take longer. */
function ask(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, response => text(response).then(resolve, reject)).once('error', reject)
  })
}

/** Starts (or finds) a service, without sharing, over those that `take` gives. */
export async function startService(name: ServiceName, take: Take): Promise<Started> {
  const { env, start } = services[name]
  const url = process.env[env]
  if (url) return { url, how: env, stop: async () => {} }
  return start(take).catch(error => ({ missing: `did not start: ${error instanceof Error ? error.message : error}` }))
}

async function fromRecipe(finding: Promise<Recipe | Missing>): Promise<Started> {
  const recipe = await finding
  if ('missing' in recipe) return recipe
  const server = await startServer(recipe)
  return { url: server.url, how: recipe.how, stop: server.stop }
}

async function startCluster(): Promise<Started> {
  const cluster = await startRedisCluster()
  return 'missing' in cluster ? cluster : { url: cluster.url, how: cluster.how, stop: cluster.stop }
}

/** Before the run's Postgres. */
async function startPgbouncer(take: Take): Promise<Started> {
  const postgres = await take('postgres')
  return 'missing' in postgres ? { missing: `no Postgres: ${postgres.missing}` } : fromRecipe(pgbouncerRecipe(postgres.url))
}

async function fromProgram(finding: Promise<Program | Missing>): Promise<Started> {
  const program = await finding
  return 'missing' in program ? program : { url: program.path, how: program.how, stop: async () => {} }
}
