import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { MongoClient } from 'mongodb'
import { Client, Pool } from 'pg'
import type { Missing } from '../../../../test/services/machine.ts'
import type { ServiceName } from '../../../../test/services/service.ts'
import type { SessionStore } from '../../src/core/store.ts'
import { memcachedStore } from '../../src/stores/memcached.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { ensureIndexes, mongoStore } from '../../src/stores/mongo.ts'
import { migrate, postgresStore } from '../../src/stores/postgres.ts'
import { redisStore } from '../../src/stores/redis.ts'
import { sqliteStore } from '../../src/stores/sqlite.ts'
import { connect as connectMemcached } from '../stores/memcached-clients.ts'
import { startReplicaSet, watchedOver } from '../stores/mongo-servers.ts'
import {
  type Connect,
  type Connection,
  clients,
  clusterClients,
  splitClients,
  splitClusterClients,
} from '../stores/redis-clients.ts'

/** One process's way to a backend. It holds any number of spaces, each an empty place for records with a name of its own. */
export interface Link {
  /** Makes the space, where it does not come to be by itself. */
  make(space: string): Promise<void>
  /** The store over a space. Another process, with a link of its own, opens the same records under the same name. */
  open(space: string): SessionStore
  /** Puts a value that Coatcheck did not write where the record of this id would be. */
  plant?(space: string, id: string): Promise<void>
  /** Removes the space, where it would not go by itself. */
  drop(space: string): Promise<void>
  close(): Promise<void>
}

/** A kind of store, and how any process opens it from a text. */
export interface Backend {
  /** What has to run; a folder of files needs nothing. */
  readonly service?: ServiceName
  /** Starts what no service is: ends with the test file. */
  readonly start?: () => Promise<{ readonly url: string; stop(): Promise<void> } | Missing>
  /** @param watchUrl where the connection of a watch goes, if not where all others do; on a Cluster: to the master at `url` */
  connect(url: string, watchUrl?: string): Promise<Link>
  /** Why no second process can see what it holds. */
  readonly alone?: string
  /** Whether another process hears of changes: what a near cache needs. Where not, its refusal is what is tested. */
  readonly tells: boolean
  /** As the store laws want it. */
  readonly noPrune?: string
  readonly noPlant?: string
}

/** Where a watch goes its own way it is the lease that is looked at: no store shall find out before. */
const patience = (watchUrl: string | undefined) => (watchUrl === undefined ? {} : { timeoutMs: 30_000 })

/** How a client is made, and one whose watch goes another way. */
interface RedisKind {
  readonly connect: Connect
  readonly split: (url: string, watchUrl: string) => Promise<Connection>
}

async function redisLink(kind: RedisKind, url: string, watchUrl?: string): Promise<Link> {
  const connection = await (watchUrl === undefined ? kind.connect(url) : kind.split(url, watchUrl))
  const prefix = (space: string) => `test:${space}:`
  return {
    make: async () => {},
    open: space => redisStore(connection.client, { prefix: prefix(space), ...patience(watchUrl) }),
    plant: async (space, id) => void (await connection.set(`${prefix(space)}s:${id}`, 'of another application')),
    drop: async () => {},
    close: async () => connection.close(),
  }
}

async function postgresLink(url: string, watchUrl?: string): Promise<Link> {
  const pool = new Pool({ connectionString: url, max: 8 })
  pool.on('error', () => {})
  const schema = (space: string) => `test_${space}`
  const listening = watchUrl === undefined ? {} : { listen: () => new Client(watchUrl) }
  return {
    make: async space => void (await migrate(pool, { schema: schema(space) })),
    open: space => postgresStore(pool, { schema: schema(space), ...listening, ...patience(watchUrl) }),
    async plant(space, id) {
      const { generation } = await postgresStore(pool, { schema: schema(space) }).marks(null)
      await pool.query(
        `INSERT INTO ${schema(space)}.sessions VALUES ($1, 1, '', NULL, '', $2, 1, NULL, 1, 1, false, NULL, NULL, 'x', 1)`,
        [id, generation],
      )
    },
    drop: async space => void (await pool.query(`DROP SCHEMA ${schema(space)} CASCADE`)),
    close: () => pool.end(),
  }
}

/** @param folder where the files are */
async function sqliteLink(folder: string): Promise<Link> {
  const path = (space: string) => join(folder, `${space}.db`)
  const opened: SessionStore[] = []
  return {
    make: async () => {},
    open(space) {
      const store = sqliteStore(path(space))
      opened.push(store)
      return store
    },
    drop: async space => rmSync(path(space), { force: true }),
    async close() {
      for (const store of opened) await store.close?.()
    },
  }
}

async function mongoLink(url: string, watchUrl?: string): Promise<Link> {
  const client = await new MongoClient(url).connect()
  const watching = watchUrl === undefined ? client : await new MongoClient(watchUrl).connect()
  const db = client.db('coatcheck')
  const collection = (space: string) => `test_${space}`
  return {
    make: async space => void (await ensureIndexes(db, { collection: collection(space) })),
    open: space =>
      mongoStore(watchedOver(db, watching.db('coatcheck')), { collection: collection(space), ...patience(watchUrl) }),
    async plant(space, id) {
      const documents = db.collection<{ _id: string; [field: string]: unknown }>(collection(space))
      await documents.insertOne({ _id: id, sess: '{"user":"theirs"}' })
    },
    drop: async space => void (await db.collection(collection(space)).drop()),
    async close() {
      await watching.close()
      await client.close()
    },
  }
}

async function memcachedLink(url: string): Promise<Link> {
  const client = connectMemcached(url)
  const prefix = (space: string) => `test:${space}:`
  return {
    make: async () => {},
    open: space => memcachedStore(client, { prefix: prefix(space) }),
    plant: async (space, id) => void (await client.set(`${prefix(space)}s:${id}`, 'of another application', { lifetime: 0 })),
    drop: async () => {},
    close: async () => client.shutdown(),
  }
}

async function memoryLink(): Promise<Link> {
  const spaces = new Map<string, SessionStore>()
  return {
    make: async () => {},
    open(space) {
      const store = spaces.get(space) ?? memoryStore()
      spaces.set(space, store)
      return store
    },
    drop: async space => void spaces.delete(space),
    close: async () => {},
  }
}

const redisForgets = { noPrune: 'Redis forgets by itself' }

/** Every store, and how a process opens it. A new one is a row here. */
export const backends = {
  memory: { connect: memoryLink, tells: false, alone: 'it lives in one process, and production refuses it unless named' },
  sqlite: { connect: sqliteLink, tells: false, noPlant: 'a strict table of ours holds no other rows' },
  'redis over redis': {
    service: 'redis',
    connect: (...urls) => redisLink({ connect: clients.redis, split: splitClients.redis }, ...urls),
    tells: true,
    ...redisForgets,
  },
  'redis over ioredis': {
    service: 'redis',
    connect: (...urls) => redisLink({ connect: clients.ioredis, split: splitClients.ioredis }, ...urls),
    tells: true,
    ...redisForgets,
  },
  'redis-cluster over redis': {
    service: 'redis-cluster',
    connect: (...urls) => redisLink({ connect: clusterClients.redis, split: splitClusterClients.redis }, ...urls),
    tells: true,
    ...redisForgets,
  },
  'redis-cluster over ioredis': {
    service: 'redis-cluster',
    connect: (...urls) => redisLink({ connect: clusterClients.ioredis, split: splitClusterClients.ioredis }, ...urls),
    tells: true,
    ...redisForgets,
  },
  postgres: { service: 'postgres', connect: postgresLink, tells: true },
  mongo: { start: startReplicaSet, connect: mongoLink, tells: true },
  memcached: { service: 'memcached', connect: memcachedLink, tells: false, noPrune: 'memcached forgets by itself' },
} as const satisfies Record<string, Backend>

export type BackendName = keyof typeof backends
