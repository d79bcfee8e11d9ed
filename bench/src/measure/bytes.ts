import type { SessionRecord } from 'coatcheck'
import { migrate, postgresStore } from 'coatcheck/postgres'
import { redisStore } from 'coatcheck/redis'
import connectPgSimple from 'connect-pg-simple'
import { RedisStore } from 'connect-redis'
import session from 'express-session'
import type { Pool } from 'pg'
import { LIFETIME_MS } from '../apps/data.ts'
import { postgresPool, redisClient, usedMemory } from '../apps/shared-stores.ts'
import { APP_DATA, idAt, makeTemplate, userIdAt, WHERE_FROM } from '../fill/plan.ts'
import { fillPostgres, ID, sizeOf } from '../fill/postgres.ts'
import { fillStore } from '../fill/store.ts'
import { startStoreServer } from '../processes/store-servers.ts'

type Client = Awaited<ReturnType<typeof redisClient>>

/** What one session takes, at so many sessions. */
export interface Bytes {
  readonly name: string
  readonly title: string
  readonly sessions: number
  /** All of it, indexes included. */
  readonly perSession: number
  /** In Postgres: the part of the indexes. */
  readonly indexes?: number
}

/** The schema of ours, as it is by default. */
const CORNER = 'coatcheck'
/** Sets under way at once. */
const AT_ONCE = 1000

/** On servers of its own, never on one that the environment names: it is emptied in between. */
export async function measureBytes(sessions: number): Promise<readonly Bytes[]> {
  // A log that is rewritten meanwhile would take memory of its own.
  const redis = await startStoreServer('REDIS_URL', undefined, ['--appendonly', 'no'])
  const postgres = await startStoreServer('DATABASE_URL', undefined)
  try {
    if ('missing' in redis) throw new Error(redis.missing)
    if ('missing' in postgres) throw new Error(postgres.missing)
    return [...(await measureRedis(redis.url, sessions)), ...(await measurePostgres(postgres.url, sessions))]
  } finally {
    for (const server of [redis, postgres]) if ('stop' in server) await server.stop()
  }
}

/** Everybody has one session: the dearest case for an index by person. */
async function measureRedis(url: string, sessions: number): Promise<readonly Bytes[]> {
  const client = await redisClient(url)
  try {
    return await measureRedisOn(client, sessions)
  } finally {
    client.destroy()
  }
}

async function measureRedisOn(client: Client, sessions: number): Promise<readonly Bytes[]> {
  const measured = async (name: string, title: string, fill: () => Promise<unknown>): Promise<Bytes> => {
    await client.flushAll()
    const before = await usedMemory(client)
    await fill()
    return { name, title, sessions, perSession: ((await usedMemory(client)) - before) / sessions }
  }
  const ours = async (from: Partial<SessionRecord>, count = sessions) => {
    const store = redisStore(client)
    await fillStore(store, { sessions: count, people: count, template: await makeTemplate(store, from) })
  }
  // What the first filling leaves in buffers is there before the ones that count.
  await ours({}, 10_000)
  return [
    await measured('redis-coatcheck', 'Coatcheck in Redis, user index included', () => ours({})),
    await measured('redis-coatcheck-device', 'the same with address and browser, as kept by default', () => ours(WHERE_FROM)),
    await measured('redis-connect', 'connect-redis, without a user index', () => fillConnectRedis(client, sessions)),
  ]
}

async function fillConnectRedis(client: Client, sessions: number): Promise<void> {
  const store = new RedisStore({ client })
  for (let first = 0; first < sessions; first += AT_ONCE) {
    const numbers = Array.from({ length: Math.min(AT_ONCE, sessions - first) }, (_, index) => first + index)
    await Promise.all(numbers.map(number => store.set(peerId(number), peerSession(number))))
  }
}

/** As long as express-session makes them. */
function peerId(number: number): string {
  return idAt(number).padEnd(32, '_')
}

/** What express-session gives its store to keep. */
function peerSession(number: number) {
  const expires = new Date(Date.now() + LIFETIME_MS)
  const cookie = { originalMaxAge: LIFETIME_MS, expires, httpOnly: true, path: '/' }
  return { cookie, userId: userIdAt(number), ...APP_DATA }
}

/** Table and indexes, filled by inserts in no order. */
async function measurePostgres(url: string, sessions: number): Promise<readonly Bytes[]> {
  const pool = postgresPool(url)
  try {
    return await measurePostgresOn(pool, sessions)
  } finally {
    await pool.end()
  }
}

async function measurePostgresOn(pool: Pool, sessions: number): Promise<readonly Bytes[]> {
  const row = (name: string, title: string, { table, indexes }: { table: number; indexes: number }): Bytes => {
    return { name, title, sessions, perSession: (table + indexes) / sessions, indexes: indexes / sessions }
  }
  const ours = async (from: Partial<SessionRecord>) => {
    await migrate(pool)
    await fillPostgres(pool, CORNER, { sessions, people: sessions, template: await makeTemplate(postgresStore(pool), from) })
    const size = await sizeOf(pool, `${CORNER}.sessions`)
    await pool.query(`DROP SCHEMA ${CORNER} CASCADE`)
    return size
  }
  return [
    row('postgres-coatcheck', 'Coatcheck in Postgres, user index included', await ours({})),
    row('postgres-coatcheck-device', 'the same with address and browser, as kept by default', await ours(WHERE_FROM)),
    row('postgres-connect', 'connect-pg-simple, without a user index', await fillConnectPg(pool, sessions)),
  ]
}

/** Its own first session, so many times over. */
async function fillConnectPg(pool: Pool, sessions: number): Promise<{ table: number; indexes: number }> {
  const PgStore = connectPgSimple(session)
  const store = new PgStore({ pool, createTableIfMissing: true })
  await new Promise<void>((resolve, reject) => {
    store.set('template', peerSession(99_999_999), error => (error ? reject(error) : resolve()))
  })
  store.close()
  await pool.query(
    `INSERT INTO session (sid, sess, expire)
    SELECT rpad(${ID}, 32, '_'), replace(t.sess::text, $1, 'u' || lpad(i::text, 8, '0'))::json, t.expire
    FROM session t, generate_series(0, $2::bigint - 1) i WHERE t.sid = 'template'`,
    [userIdAt(99_999_999), sessions],
  )
  return sizeOf(pool, 'session')
}
