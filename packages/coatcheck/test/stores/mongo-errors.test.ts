import { MongoClient } from 'mongodb'
import { afterAll, describe, expect, test } from 'vitest'
import { startMongo } from '../../../../test/services/mongo.ts'
import { service } from '../../../../test/services/service.ts'
import { createSessions } from '../../src/core/sessions.ts'
import { ensureIndexes, type MongoStoreOptions, mongoStore } from '../../src/stores/mongo.ts'
import { later, nextVersion, preparedRecord, storedRecord } from '../../src/testing/records.ts'
import { Browser, SECRET } from '../core/world.ts'
import { Clients, openSpace } from './mongo-servers.ts'

const mongo = await service('mongo')
const guarded = mongo.missing ? undefined : await startMongo(['--auth'])
const clients = new Clients()

afterAll(async () => {
  await clients.close()
  if (guarded && !('missing' in guarded)) await guarded.stop()
})

/** The server that asks for passwords, with a user who may read only. */
async function withUsers(): Promise<(userInfo: string) => string> {
  if (!guarded || 'missing' in guarded) throw new Error('no mongod')
  const url = (userInfo: string) => `${guarded.url.replace('//', `//${userInfo}@`)}?authSource=admin`
  const open = await new MongoClient(guarded.url).connect()
  await open.db('admin').command({ createUser: 'root', pwd: 'a-password', roles: ['root'] })
  await open.close()
  const root = await clients.connect(url('root:a-password'))
  await root.db('admin').command({ createUser: 'reader', pwd: 'a-password', roles: [{ role: 'read', db: 'coatcheck' }] })
  await root.db('admin').command({ createUser: 'writer', pwd: 'a-password', roles: [{ role: 'readWrite', db: 'coatcheck' }] })
  return url
}

/** A store over a client that has not been connected yet: its first command tries to, in time on a full machine too. */
function unconnected(url: string, options: MongoStoreOptions = {}) {
  const client = new MongoClient(url)
  return { client, store: mongoStore(client.db('coatcheck'), { timeoutMs: 10_000, ...options }) }
}

const unavailable = (remedy: RegExp) => ({ code: 'STORE_UNAVAILABLE', status: 503, message: expect.stringMatching(remedy) })

describe.skipIf(mongo.missing)('what is wrong with a MongoDB is said by a typed error with what to do', () => {
  test('a wrong password, and a user without the rights; with readWrite everything works', async () => {
    const url = await withUsers()
    const wrong = unconnected(url('root:another'))
    await expect(wrong.store.marks('alice')).rejects.toMatchObject(unavailable(/refused the user or the password/))
    await wrong.client.close()
    await expect(unconnected(guarded && 'url' in guarded ? guarded.url : '').store.marks(null)).rejects.toMatchObject(
      unavailable(/denies this user a right.*readWrite/),
    )
    const writer = (await clients.connect(url('writer:a-password'))).db('coatcheck')
    await ensureIndexes(writer)
    const record = await storedRecord(mongoStore(writer), { userId: 'alice' })
    const reader = mongoStore((await clients.connect(url('reader:a-password'))).db('coatcheck'))
    expect(await reader.read(record.id)).toEqual(record)
    await expect(reader.revokeUser('alice')).rejects.toMatchObject(unavailable(/denies this user a right.*readWrite/))
    expect(await mongoStore(writer).revokeUser('alice')).toEqual([record.id])
  }, 30_000)

  test.each([
    ['a port where nobody listens', 'mongodb://127.0.0.1:1/'],
    ['a host that nobody knows', 'mongodb://nowhere.invalid/'],
    ['a set of another name', `${mongo.url?.split('?')[0]}?replicaSet=another`],
  ])('%s, within the time limit', async (_what, url) => {
    const { client, store } = unconnected(url, { timeoutMs: 1000 })
    const from = Date.now()
    await expect(Promise.resolve(store.read('x'))).rejects.toMatchObject(unavailable(/host, port and replicaSet/))
    expect(Date.now() - from).toBeLessThan(10_000)
    await client.close()
  })

  test('a client that was closed', async () => {
    const client = await new MongoClient(mongo.url ?? '').connect()
    await client.close()
    await expect(Promise.resolve(mongoStore(client.db()).read('x'))).rejects.toMatchObject(unavailable(/client is closed/))
  })

  test('a client whose first connection failed, until it is connected again', async () => {
    const { client, store } = unconnected(mongo.url ?? '')
    const refused = new MongoClient('mongodb://127.0.0.1:1/', { serverSelectionTimeoutMS: 100 })
    for (const _try of [1, 2])
      await expect(Promise.resolve(mongoStore(refused.db()).read('x'))).rejects.toMatchObject(
        unavailable(/has no server|connect\(\)/),
      )
    expect(await store.read('x')).toBeUndefined()
    await Promise.all([client.close(), refused.close()])
  })

  test('an index of another application under our name', async () => {
    const db = (await clients.connect(mongo.url ?? '')).db('coatcheck')
    await db.collection('foreign_index').createIndex({ sid: 1 }, { name: 'coatcheck_user' })
    await expect(ensureIndexes(db, { collection: 'foreign_index' })).rejects.toMatchObject({
      code: 'FOREIGN_RECORD',
      message: expect.stringMatching(/collection of its own/),
    })
    await db.collection('foreign_index').drop()
  })

  test('a session of 10 MiB is kept where maxDataBytes allows it', async () => {
    const client = await clients.connect(mongo.url ?? '')
    const { store, close } = await openSpace(client, client)
    const cart = 'x'.repeat(10 * 1024 * 1024)
    const sessions = createSessions({ store, secret: SECRET, production: false, maxDataBytes: 12 * 1024 * 1024 })
    const ann = new Browser()
    await ann.login(sessions, 'ann')
    await ann.request(sessions, ({ session }) => Object.assign(session, { cart }))
    const { session } = await ann.request(sessions)
    expect(Reflect.get(session, 'cart') === cart).toBe(true)
    await close()
  }, 60_000)

  test.each([
    ['above 16 MiB', 16.2],
    ['above what the driver takes', 20],
  ])(
    'a session %s is refused, and what was stored stays',
    async (_what, mebibytes) => {
      const client = await clients.connect(mongo.url ?? '')
      const { store, close } = await openSpace(client, client)
      const tooLarge = { code: 'SESSION_TOO_LARGE', status: 500, message: expect.stringMatching(/16 MiB.*maxDataBytes/) }
      const data = `{"a":"${'x'.repeat(mebibytes * 1024 * 1024)}"}`
      const record = await storedRecord(store, { userId: 'alice' })
      await expect(store.replace(nextVersion(record, { data }), later())).rejects.toMatchObject(tooLarge)
      await expect(store.create(await preparedRecord(store, { data }), later())).rejects.toMatchObject(tooLarge)
      expect(await store.listByUser('alice', 9)).toEqual([record])
      await close()
    },
    60_000,
  )

  test('nobody is signed in by it: a login is refused, and no cookie goes out', async () => {
    const { client, store } = unconnected('mongodb://127.0.0.1:1/', { timeoutMs: 1000 })
    const sessions = createSessions({ store, secret: SECRET, production: false })
    const ann = new Browser()
    await expect(ann.login(sessions, 'ann')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(ann.cookie ?? '').toBe('')
    await client.close()
  }, 30_000)
})

test('a database, a collection or a time that will not do is refused at the start', () => {
  const db = new MongoClient('mongodb://127.0.0.1:1/').db()
  const bad = expect.objectContaining({ code: 'BAD_OPTION' })
  for (const wrong of [undefined, {}, { collection: db.collection }])
    expect(() => Reflect.apply(mongoStore, undefined, [wrong])).toThrow(bad)
  for (const collection of ['', 'a$b', 'system.x', 'a\0b', 'x'.repeat(101)])
    expect(() => mongoStore(db, { collection })).toThrow(bad)
  for (const timeoutMs of [0, 1.5, Number.NaN, 60_001]) expect(() => mongoStore(db, { timeoutMs })).toThrow(bad)
})
