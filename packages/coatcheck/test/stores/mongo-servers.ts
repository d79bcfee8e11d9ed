import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Db, MongoClient, type MongoClientOptions } from 'mongodb'
import type { Missing } from '../../../../test/services/machine.ts'
import { startMongo } from '../../../../test/services/mongo.ts'
import type { Server } from '../../../../test/services/server.ts'
import { ensureIndexes, type MongoCollection, type MongoDb, mongoStore } from '../../src/stores/mongo.ts'
import type { StoreSpace } from '../../src/testing/index.ts'

/** A replica set of real `mongod`s of ours. */
export interface ReplicaSet {
  readonly members: readonly Server[]
  readonly url: string
  primary(): Promise<Server>
  stop(): Promise<void>
}

const NAME = 'coatcheck'
/** How long a primary may be silent before another one is elected: short, so that a test of it is. */
const ELECTION_TIMEOUT_MS = 2000
const FORMS_WITHIN_MS = 60_000

export async function startReplicaSet(count = 1): Promise<ReplicaSet | Missing> {
  const members: Server[] = []
  for (let i = 0; i < count; i++) {
    const member = await startMongo(['--replSet', NAME, '--oplogSize', '64'])
    if ('missing' in member) return member
    members.push(member)
  }
  await ask(members[0] as Server, {
    replSetInitiate: {
      _id: NAME,
      members: members.map(({ port }, _id) => ({ _id, host: `127.0.0.1:${port}` })),
      settings: { electionTimeoutMillis: ELECTION_TIMEOUT_MS, heartbeatIntervalMillis: ELECTION_TIMEOUT_MS / 4 },
    },
  })
  const set = {
    members,
    url: `mongodb://${members.map(({ port }) => `127.0.0.1:${port}`).join()}/?replicaSet=${NAME}`,
    primary: () => primaryOf(members),
    stop: async () => void (await Promise.all(members.map(member => member.stop()))),
  }
  await set.primary()
  return set
}

/** The member that all who answer take for the primary. */
async function primaryOf(members: readonly Server[]): Promise<Server> {
  const until = Date.now() + FORMS_WITHIN_MS
  for (;;) {
    const hellos = await Promise.all(members.map(member => ask(member, { hello: 1 }).catch(() => undefined)))
    const primary = members.find((_member, i) => hellos[i]?.isWritablePrimary === true)
    if (primary) return primary
    if (Date.now() > until) throw new Error(`The replica set has no primary after ${FORMS_WITHIN_MS} ms.`)
    await sleep(100)
  }
}

/** Runs a command on this very member. */
export async function ask(member: Server, command: object): Promise<Record<string, unknown>> {
  const client = new MongoClient(member.url, { directConnection: true, serverSelectionTimeoutMS: 1000 })
  try {
    return await client.db('admin').command({ ...command })
  } finally {
    await client.close()
  }
}

/** Connected clients that are closed together. */
export class Clients {
  readonly #open: MongoClient[] = []

  async connect(url: string, options: MongoClientOptions = {}): Promise<MongoClient> {
    const client = new MongoClient(url, options)
    this.#open.push(client)
    return client.connect()
  }

  async close(): Promise<void> {
    await Promise.all(this.#open.splice(0).map(client => client.close()))
  }
}

const newName = () => `test_${randomBytes(6).toString('hex')}`

/** The database, with `before` called before each command on a collection of it, and waited for but for a `find`. */
export function intercepted(db: Db, before: (method: string, args: string) => Promise<void>): MongoDb {
  return {
    command: (command, options) => db.command({ ...command }, options),
    collection(name, options) {
      const answering = (target: MongoCollection, method: string | symbol) => {
        const value: unknown = Reflect.get(target, method)
        if (typeof value !== 'function') return value
        return (...args: unknown[]) => {
          const held = before(String(method), JSON.stringify(args))
          // These give something to ask, at once.
          if (method === 'find' || method === 'watch') return value.apply(target, args)
          return held.then(() => value.apply(target, args))
        }
      }
      return new Proxy<MongoCollection>(db.collection(name, options), { get: answering })
    },
  }
}

/** The database, with `before` waited for before an event of a change stream is handed over. */
export function delayedEvents(db: Db, before: () => Promise<void>): MongoDb {
  return {
    command: (command, options) => db.command({ ...command }, options),
    collection(name, options) {
      const real: MongoCollection = db.collection(name, options)
      const watch: MongoCollection['watch'] = (pipeline, settings) => {
        const stream = real.watch(pipeline, settings)
        const next = () => stream.next().then(event => before().then(() => event))
        return { next, tryNext: () => stream.tryNext(), close: () => stream.close() }
      }
      return Object.assign(Object.create(real), { watch })
    },
  }
}

/** The database, whose change streams come over another connection. */
export function watchedOver(db: Db, other: Db): MongoDb {
  return {
    command: (command, options) => db.command({ ...command }, options),
    collection(name, options) {
      const real: MongoCollection = db.collection(name, options)
      const elsewhere: MongoCollection = other.collection(name, options)
      const watch: MongoCollection['watch'] = (pipeline, settings) => elsewhere.watch(pipeline, settings)
      return Object.assign(Object.create(real), { watch })
    },
  }
}

/** A space for the laws, over two clients of one server: its own collection, and its handle for a test's own looks. */
export async function openSpace(one: MongoClient, two: MongoClient) {
  const collection = newName()
  const documents = one.db('coatcheck').collection<{ _id: string; [field: string]: unknown }>(collection)
  await ensureIndexes(one.db('coatcheck'), { collection })
  return {
    collection,
    documents,
    database: one.db('coatcheck'),
    /** The same collection, for what has no text as its `_id`. */
    marks: one.db('coatcheck').collection<{ _id: object; [field: string]: unknown }>(collection),
    store: mongoStore(one.db('coatcheck'), { collection }),
    second: () => mongoStore(two.db('coatcheck'), { collection }),
    plant: async (id: string) => void (await documents.insertOne({ _id: id, sess: '{"user":"theirs"}' })),
    close: async () => void (await documents.drop()),
  } satisfies StoreSpace & Record<string, unknown>
}
