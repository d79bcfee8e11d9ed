import type { SessionStore } from 'coatcheck'
import { memcachedStore } from 'coatcheck/memcached'
import { ensureIndexes, mongoStore } from 'coatcheck/mongo'
import { migrate, postgresStore } from 'coatcheck/postgres'
import { redisStore } from 'coatcheck/redis'
import { MemcacheClient } from 'memcache-client'
import { MongoClient } from 'mongodb'
import { Pool } from 'pg'
import { createClient } from 'redis'

/** A store over a server that other processes use too. */
export interface SharedStore {
  readonly store: SessionStore
  close(): Promise<void>
}

/** The kinds that are measured. */
export type SharedKind = 'redis' | 'postgres' | 'mongo' | 'memcached'

/** Where the subjects with a near cache keep their sessions. */
export const NEAR_CORNER = 'bench_near'

/** A client of the bench's Redis, with the client's defaults. */
export function redisClient(url = process.env.REDIS_URL!) {
  return createClient({ url }).connect()
}

/** Bytes that a Redis has in use. */
export async function usedMemory(client: Awaited<ReturnType<typeof redisClient>>): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await client.info('memory'))?.[1])
}

/** A pool to the bench's Postgres, with the pool's defaults: ten connections at most. */
export function postgresPool(url = process.env.DATABASE_URL): Pool {
  const pool = new Pool({ connectionString: url })
  // Of idle connections that broke, above all when their server is stopped; a query that fails says so itself.
  return pool.on('error', () => {})
}

/**
 * Ours over the bench's server of this kind, in a corner of its own. Processes that name the same corner share it.
 *
 * @param corner small letters and underscores: the prefix of the keys, the schema or the collection
 */
export function sharedStore(kind: SharedKind, corner: string): Promise<SharedStore> {
  return MAKERS[kind](corner)
}

const MAKERS: Readonly<Record<SharedKind, (corner: string) => Promise<SharedStore>>> = {
  redis: overRedis,
  postgres: overPostgres,
  mongo: overMongo,
  memcached: overMemcached,
}

async function overRedis(corner: string): Promise<SharedStore> {
  const client = await redisClient()
  return { store: redisStore(client, { prefix: `${corner}:` }), close: async () => client.destroy() }
}

async function overPostgres(schema: string): Promise<SharedStore> {
  const pool = postgresPool()
  await migrate(pool, { schema })
  return { store: postgresStore(pool, { schema }), close: () => pool.end() }
}

async function overMongo(collection: string): Promise<SharedStore> {
  const client = await new MongoClient(process.env.MONGODB_URL!).connect()
  await ensureIndexes(client.db('bench'), { collection })
  return { store: mongoStore(client.db('bench'), { collection }), close: () => client.close() }
}

async function overMemcached(corner: string): Promise<SharedStore> {
  const client = memcachedClient()
  return { store: memcachedStore(client, { prefix: `${corner}:` }), close: async () => client.shutdown() }
}

function memcachedClient(): MemcacheClient {
  return new MemcacheClient({ server: new URL(process.env.MEMCACHED_URL!).host })
}

/** What stands behind the stores, and the settings that matter. */
export async function storeVersions(): Promise<string> {
  const versions = [
    ...(process.env.REDIS_URL ? [await redisVersion()] : []),
    ...(process.env.DATABASE_URL ? [await postgresVersion()] : []),
    ...(process.env.MONGODB_URL ? [await mongoVersion()] : []),
    ...(process.env.MEMCACHED_URL ? [await memcachedVersion()] : []),
  ]
  return versions.join('; ') || 'none'
}

async function redisVersion(): Promise<string> {
  const client = await redisClient()
  const [, version] = /^redis_version:(\S+)/m.exec(await client.info('server')) ?? []
  const { appendonly } = await client.configGet('appendonly')
  client.destroy()
  return `Redis ${version}, appendonly ${appendonly}`
}

async function postgresVersion(): Promise<string> {
  const pool = postgresPool()
  const show = async (name: string) => `${name} ${(await pool.query(`SHOW ${name}`)).rows[0][name]}`
  const settings = [
    await show('server_version'),
    await show('fsync'),
    await show('synchronous_commit'),
    await show('shared_buffers'),
  ]
  await pool.end()
  return `Postgres ${settings.join(', ')}`
}

async function mongoVersion(): Promise<string> {
  const client = await new MongoClient(process.env.MONGODB_URL!).connect()
  const { version } = await client.db('admin').command({ buildInfo: 1 })
  await client.close()
  return `MongoDB ${version}`
}

async function memcachedVersion(): Promise<string> {
  const client = memcachedClient()
  const [, version] = await client.version()
  client.shutdown()
  return `memcached ${version}`
}
