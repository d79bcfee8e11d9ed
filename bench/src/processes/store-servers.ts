import { setTimeout as sleep } from 'node:timers/promises'
import { MongoClient } from 'mongodb'
import type { Missing } from '../../../test/services/machine.ts'
import { memcachedRecipe } from '../../../test/services/memcached.ts'
import { mongoRecipe } from '../../../test/services/mongo.ts'
import { postgresRecipe } from '../../../test/services/postgres.ts'
import { redisRecipe } from '../../../test/services/redis.ts'
import { type Recipe, type Server, startServer } from '../../../test/services/server.ts'
import type { StoreUrl } from '../subject.ts'
import { pinned } from './cores.ts'

/** A set of one: near caches listen to its change streams. */
const SET = 'bench'
const LEADS_WITHIN_MS = 60_000

/** How each server that subjects share comes to be here; `args` are its program's own. */
const RECIPES: Readonly<Record<StoreUrl, (args?: readonly string[]) => Promise<Recipe | Missing>>> = {
  REDIS_URL: redisRecipe,
  DATABASE_URL: postgresRecipe,
  MONGODB_URL: replicaSetRecipe,
  MEMCACHED_URL: memcachedRecipe,
}

/** As the servers come from their makers: Postgres waits for the disk at each commit, Redis keeps no log. Tests set both otherwise. */
const AS_SHIPPED: Readonly<Record<StoreUrl, readonly string[]>> = {
  REDIS_URL: ['--appendonly', 'no'],
  DATABASE_URL: ['-c', 'fsync=on'],
  MONGODB_URL: [],
  MEMCACHED_URL: [],
}

/** Servers of our own, whose addresses stand in the environment. */
export interface StoreServers {
  /** Why one could not be had. */
  readonly missing: ReadonlyMap<StoreUrl, string>
  /** Ends them, deletes their data, and takes their addresses out of the environment. */
  stop(): Promise<void>
}

/**
 * Starts a server for each address that the environment does not name already.
 *
 * @param core the core that they share; undefined where binding is not possible
 */
export async function startStoreServers(urls: readonly StoreUrl[], core: number | undefined): Promise<StoreServers> {
  const started = new Map<StoreUrl, Server>()
  const missing = new Map<StoreUrl, string>()
  for (const url of new Set(urls)) {
    if (process.env[url]) continue
    const server = await startStoreServer(url, core, AS_SHIPPED[url])
    if ('missing' in server) missing.set(url, server.missing)
    else started.set(url, server)
  }
  for (const [url, server] of started) process.env[url] = server.url
  return {
    missing,
    async stop() {
      for (const url of started.keys()) delete process.env[url]
      await Promise.all([...started.values()].map(server => server.stop()))
    },
  }
}

/** One server of our own. */
export async function startStoreServer(
  url: StoreUrl,
  core: number | undefined,
  args?: readonly string[],
): Promise<Server | Missing> {
  const recipe = await RECIPES[url](args)
  if ('missing' in recipe) return recipe
  const command: Recipe['command'] = place => [...pinned(core), ...recipe.command(place)] as [string, ...string[]]
  const server = await startServer({ ...recipe, command })
  if (url !== 'MONGODB_URL') return server
  try {
    await initiate(`127.0.0.1:${server.port}`)
    return server
  } catch (error) {
    await server.stop()
    throw error
  }
}

async function replicaSetRecipe(args: readonly string[] = []): Promise<Recipe | Missing> {
  const recipe = await mongoRecipe(['--replSet', SET, ...args])
  return 'missing' in recipe ? recipe : { ...recipe, url: port => `mongodb://127.0.0.1:${port}/?replicaSet=${SET}` }
}

/** Makes a set of this one member, which it then leads. */
async function initiate(host: string): Promise<void> {
  const client = await new MongoClient(`mongodb://${host}/`, { directConnection: true }).connect()
  try {
    const admin = client.db('admin')
    await admin.command({ replSetInitiate: { _id: SET, members: [{ _id: 0, host }] } })
    for (const until = Date.now() + LEADS_WITHIN_MS; !(await admin.command({ hello: 1 })).isWritablePrimary; await sleep(100))
      if (Date.now() > until) throw new Error(`MongoDB's set of one has no primary after ${LEADS_WITHIN_MS} ms.`)
  } finally {
    await client.close()
  }
}
