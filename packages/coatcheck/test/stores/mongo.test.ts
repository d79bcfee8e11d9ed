import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Long, type MongoClient, type MongoClientOptions } from 'mongodb'
import { afterAll, describe, expect, test } from 'vitest'
import { isLong } from '../../../../test/long.ts'
import { startFerretdb, startMongo } from '../../../../test/services/mongo.ts'
import { service } from '../../../../test/services/service.ts'
import { createSessions } from '../../src/core/sessions.ts'
import { ensureIndexes, type MongoDb, mongoStore } from '../../src/stores/mongo.ts'
import { gatedStore, storeLaws } from '../../src/testing/index.ts'
import { later, nextVersion, preparedRecord, sampleHash, storedRecord } from '../../src/testing/records.ts'
import { Browser, SECRET } from '../core/world.ts'
import { Clients, delayedEvents, intercepted, openSpace, startReplicaSet } from './mongo-servers.ts'

const mongo = await service('mongo')
const set = await startReplicaSet()
/** Built on the first run, which takes minutes: it is waited for by the one test that asks it. */
// To compile it takes two cores two minutes.
const ferretdb = isLong ? startFerretdb() : { missing: 'npm run test:long builds it and tries it' }
const clients = new Clients()
const connect = (url: string, options: MongoClientOptions = {}) => clients.connect(url, options)

afterAll(async () => {
  await clients.close()
  for (const server of [set, await ferretdb]) if (!('missing' in server)) await server.stop()
})

/** Our own replica set; where there is none, the server that the environment names has to be one. */
const url = 'missing' in set ? mongo.url : set.url
const here = url === undefined ? undefined : { url, one: await connect(url), two: await connect(url) }

/** A space over the replica set; only called where there is one. */
function open() {
  if (here === undefined) throw new Error('no replica set')
  return openSpace(here.one, here.two)
}

type Space = Awaited<ReturnType<typeof open>>

async function inSpace(prove: (space: Space) => Promise<void>): Promise<void> {
  const space = await open()
  try {
    await prove(space)
  } finally {
    await space.close()
  }
}

describe.skipIf(here === undefined)('the mongo store over a replica set', () => {
  for (const law of storeLaws({ open })) test(law.name, law.run)

  test('law 6: a repeated save of a session that outlived its epoch ends nothing', () =>
    inSpace(async ({ store }) => {
      const record = await storedRecord(store, { userId: 'alice' })
      await store.revokeUser('alice', record.id)
      const save = nextVersion(record, { data: '{"a":1}' })
      for (const _try of [1, 2]) expect(await store.replace(save, later())).toBe('saved')
      expect(await store.listByUser('alice', 9)).toEqual([save])
    }))

  // Guard: in mongo.ts `sight.pending`.
  test.each(['goes on', 'was revoked meanwhile'])('law 6: a login that died before it was filed, and is sent again, %s', what =>
    inSpace(async ({ store, documents, marks }) => {
      const visitor = await storedRecord(store)
      const login = nextVersion(visitor, { ...(await store.marks('alice')), userId: 'alice', tokenHash: sampleHash() })
      const epoch = { _id: { epochOf: 'alice' }, epoch: 'a later one', forgetAt: new Date() }
      // As the first try left it: written after the revocation had deleted what it found, and not looked after any more.
      await documents.updateOne({ _id: visitor.id }, { $set: { ...login, pending: true } })
      if (what !== 'goes on') await marks.insertOne(epoch)
      expect(await store.listByUser('alice', 9)).toEqual([])
      expect(await store.replace(login, later())).toBe(what === 'goes on' ? 'saved' : 'refused')
      expect(await store.listByUser('alice', 9)).toHaveLength(what === 'goes on' ? 1 : 0)
      expect(await store.read(login.id)).toEqual(what === 'goes on' ? login : undefined)
    }),
  )

  // Guard: in mongo.ts the generation in the filter of a save.
  test('law 2: a step-up whose marks are newer than its session, which everybody’s end took, is "gone" and not "saved"', () =>
    inSpace(async ({ store }) => {
      const record = await storedRecord(store, { userId: 'alice' })
      await store.revokeEveryone()
      const stepUp = nextVersion(record, { ...(await store.marks('alice')), tokenHash: sampleHash() })
      expect(await store.replace(stepUp, later())).toBe('gone')
      expect(await store.read(record.id)).toBeUndefined()
    }))

  // Guard: in mongo.ts `carriedFrom`.
  test('law 2: a session that is being carried over is never missing, and saves go on', () =>
    inSpace(async ({ store, documents, marks }) => {
      const kept = await storedRecord(store, { userId: 'admin' })
      // As revokeEveryone leaves it before it sets the generation.
      const carried = { generation: 'the next one', carriedFrom: kept.generation, version: 2 }
      await documents.updateOne({ _id: kept.id }, { $set: carried })
      for (const found of [
        await store.read(kept.id),
        ...(await store.listByUser('admin', 9)),
        ...(await store.scan(null, 9)).records,
      ])
        expect(found).toEqual({ ...kept, version: 2 })
      const during = nextVersion({ ...kept, version: 2 }, { data: '{"during":1}' })
      expect(await store.replace(during, later())).toBe('saved')
      expect(await store.replace(nextVersion(kept, { data: '{"late":1}' }), later())).toBe('conflict')
      await marks.updateOne({ _id: { mark: 'generation' } }, { $set: { generation: 'the next one' } })
      expect(await store.read(kept.id)).toEqual({ ...during, generation: 'the next one' })
      // Read before the generation was set, saved after it.
      expect(await store.replace(nextVersion(during, { data: '{"after":1}' }), later())).toBe('saved')
      await store.revokeEveryone()
      expect(await store.replace(nextVersion(during, { version: 5 }), later())).toBe('gone')
    }))

  /** `revokeEveryone(except)` held when it has carried `except` over, and not yet set the generation. */
  async function heldHalfWay({ database, collection }: Space, except: string) {
    const [arrived, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const slow = intercepted(database, async (method, args) => {
      if (method !== 'updateOne' || !args.startsWith('[{"_id":{"mark"')) return
      arrived.resolve()
      await released.promise
    })
    const done = mongoStore(slow, { collection }).revokeEveryone(except)
    await arrived.promise
    return { release: () => released.resolve(), done }
  }

  // Guard: in mongo.ts `carriedFrom` of what revokeEveryone writes.
  test('law 2: whom revokeEveryone spares is at no moment missing', () =>
    inSpace(async space => {
      const [kept, ended] = [await storedRecord(space.store, { userId: 'admin' }), await storedRecord(space.store)]
      const { release, done } = await heldHalfWay(space, kept.id)
      for (const { id } of [kept, ended]) expect(await space.second().read(id)).toBeDefined()
      release()
      await done
      expect(await space.store.read(kept.id)).toMatchObject({ version: 2 })
      expect(await space.store.read(ended.id)).toBeUndefined()
    }))

  // Guard: in mongo.ts the generation in the filter of the mark.
  test('law 2: whom another one’s revokeEveryone has ended, one that was under way does not bring back', () =>
    inSpace(async space => {
      const [kept, others] = [await storedRecord(space.store, { userId: 'admin' }), await storedRecord(space.store)]
      const { release, done } = await heldHalfWay(space, kept.id)
      await space.second().revokeEveryone(others.id)
      expect(await space.store.read(kept.id)).toBeUndefined()
      release()
      await done
      for (const { id } of [kept, others]) expect(await space.store.read(id)).toBeUndefined()
    }))

  // Guards: in mongo.ts the loop of revokeUser, and the epoch in its filter.
  test('law 9: revokeUser ends, and names, what lands while it deletes, and spares who signs in after its epoch was set', () =>
    inSpace(async ({ store, second, database, documents, collection }) => {
      const first = await storedRecord(store, { userId: 'alice' })
      const late = await preparedRecord(store, { userId: 'alice' })
      const { id, ...fields } = late
      let after = late
      const meanwhile = intercepted(database, async method => {
        if (method !== 'deleteMany' || after !== late) return
        // As a login is that looked at the marks just before the epoch was set.
        await documents.insertOne({ _id: id, format: 1, ...fields, forgetAt: new Date(later()) })
        after = await storedRecord(second(), { userId: 'alice' })
      })
      const ended = await mongoStore(meanwhile, { collection }).revokeUser('alice')
      expect([...ended].sort()).toEqual([first.id, late.id].sort())
      expect(await store.read(late.id)).toBeUndefined()
      expect(await store.read(after.id)).toEqual(after)
    }))

  // Guard: in mongo.ts `_kept` of #compareAndSet.
  test('law 2: a step-up under the epoch that a revocation has just set does not take its session out of what that ends', () =>
    inSpace(async ({ store, database, collection }) => {
      const record = await storedRecord(store, { userId: 'alice' })
      const answers: string[] = []
      const meanwhile = intercepted(database, async method => {
        if (method !== 'deleteMany' || answers.length > 0) return
        answers.push(await store.replace(nextVersion(record, await store.marks('alice')), later()))
      })
      expect(await mongoStore(meanwhile, { collection }).revokeUser('alice')).toEqual([record.id])
      expect(answers).toEqual(['saved'])
      expect(await store.read(record.id)).toBeUndefined()
    }))

  // Guard: in mongo.ts the filter that a prune asks again.
  test('a session that is touched between the two steps of a prune stays', () =>
    inSpace(async ({ store, database, collection }) => {
      const [touched, idle] = [await storedRecord(store, {}, 1), await storedRecord(store, {}, 1)]
      const meanwhile = intercepted(database, async method => {
        if (method === 'deleteMany') await store.touch(touched.id, touched.lastSeenAt + 1, later())
      })
      expect(await mongoStore(meanwhile, { collection }).prune?.(Date.now(), 10)).toBe(1)
      expect(await store.read(touched.id)).toBeDefined()
      expect(await store.read(idle.id)).toBeUndefined()
    }))

  // Guard: in watch.ts the wait for the probe's own event.
  test('law 9: a watch proves nothing while its stream is behind, however well it writes', () =>
    inSpace(async ({ store, database, collection }) => {
      let behind = Promise.resolve()
      const heard: (string | null)[] = []
      const slow = mongoStore(
        delayedEvents(database, () => behind),
        { collection },
      )
      const watch = await slow.watch?.(id => heard.push(id))
      const { promise, resolve } = Promise.withResolvers<void>()
      behind = promise
      const { id } = await storedRecord(store)
      const proof = watch?.prove().then(() => heard.includes(id))
      expect(await Promise.race([proof, sleep(500, 'nothing')])).toBe('nothing')
      resolve()
      expect(await proof).toBe(true)
      await watch?.close()
    }))

  test('reads, saves, lists, scans and prunes by an index', () =>
    inSpace(async ({ store, documents }) => {
      for (let i = 0; i < 50; i++) await storedRecord(store, { userId: `user ${i % 5}` })
      const stages = async (filter: object, options: object = {}) =>
        JSON.stringify((await documents.find(filter, options).explain('queryPlanner')).queryPlanner.winningPlan)
      const { generation } = await store.marks(null)
      for (const [filter, options] of [
        [{ _id: { $in: ['x', { mark: 'generation' }, { epochOf: 'x' }] } }],
        [{ _id: { $eq: 'x' }, format: 1, version: 1, $or: [{ generation }, { carriedFrom: generation }], userId: 'user 1' }],
        [
          { userId: { $eq: 'user 1' }, format: 1, generation, pending: { $exists: false } },
          { sort: { createdAt: -1 }, limit: 9 },
        ],
        [{ userId: { $eq: 'user 1' }, format: 1, userEpoch: { $ne: 'x' }, _id: { $ne: 'y' } }],
        [{ _id: { $gt: '' } }, { sort: { _id: 1 }, limit: 9 }],
        [{ forgetAt: { $lt: new Date() }, format: 1 }],
        [{ generation: { $in: ['x', 'y'] }, format: 1 }],
      ] as const) {
        const plan = await stages(filter, options)
        expect(plan).toMatch(/IXSCAN|IDHACK/)
        expect(plan).not.toMatch(/COLLSCAN|"SORT"/)
      }
    }))

  test('costs as many commands as its page says', async () => {
    const client = await connect(here?.url ?? '', { monitorCommands: true })
    const { store, documents, close } = await openSpace(client, client)
    const commands: string[] = []
    client.on('commandStarted', ({ commandName }) => commands.push(commandName))
    const cost = async (act: () => unknown) => {
      commands.length = 0
      await act()
      return commands.join(' ')
    }
    const [visit, login] = [await preparedRecord(store), await preparedRecord(store, { userId: 'alice' })]
    const promoted = nextVersion(visit, { ...(await store.marks('bob')), userId: 'bob', tokenHash: sampleHash() })
    expect(await cost(() => store.marks(null))).toBe('find')
    expect(await cost(() => store.create(visit, later()))).toBe('insert find')
    expect(await cost(() => store.create(login, later()))).toBe('insert find update')
    expect(await cost(() => store.replace(promoted, later()))).toBe('update find find update find update')
    expect(await cost(() => store.read(login.id))).toBe('find')
    // Guard: in shared-reads.ts setImmediate.
    expect(await cost(() => Promise.all([login.id, visit.id, 'none'].map(id => store.read(id))))).toBe('find')
    expect(await cost(() => store.touch(login.id, later(), later()))).toBe('update')
    expect(await cost(() => store.replace(nextVersion(login, { data: '{"a":1}' }), later()))).toBe('update find')
    const ofFew = await cost(() => store.revokeEveryone())
    const { id, ...fields } = await preparedRecord(store)
    await documents.insertMany(Array.from({ length: 10_000 }, (_, i) => ({ _id: `${id} ${i}`, format: 1, ...fields })))
    // A page may hold less than was asked for: what ended before is passed over.
    expect((await store.scan(null, 5)).records).not.toEqual([])
    expect(await cost(() => store.revokeEveryone())).toBe(ofFew)
    expect(ofFew).toBe('find find update')
    expect((await store.scan(null, 5)).records).toEqual([])
    const many = await Promise.all(Array.from({ length: 150 }, () => storedRecord(store)))
    // 100 to a command, whose answer is whole. Guard: in mongo.ts `batchSize`.
    expect(await cost(() => Promise.all(many.map(({ id }) => store.read(id))))).toBe('find find')
    await close()
  })

  test('prunes by the thousand what idled out and what is left of dead generations', () =>
    inSpace(async ({ store, documents }) => {
      const { id, ...fields } = await preparedRecord(store)
      const many = (count: number, more: object) =>
        documents.insertMany(
          Array.from({ length: count }, (_, i) => ({ _id: `${i} ${JSON.stringify(more)}`, format: 1, ...fields, ...more })),
        )
      await many(2500, { forgetAt: new Date(1) })
      await many(700, { forgetAt: new Date(later()) })
      const kept = await storedRecord(store)
      await store.revokeEveryone(kept.id)
      const fresh = await storedRecord(store)
      for (const wanted of [2000, 1200, 0]) expect(await store.prune?.(Date.now(), 2000)).toBe(wanted)
      for (const { id } of [kept, fresh]) expect(await store.read(id)).toBeDefined()
    }))

  test('law 8: MongoDB forgets by its own clock with an hour of slack, epochs too', async () => {
    const server = await startMongo(['--setParameter', 'ttlMonitorSleepSecs=1'])
    if ('missing' in server) throw new Error(server.missing)
    const own = await connect(server.url)
    const { store, marks } = await openSpace(own, own)
    const minutesAgo = (minutes: number) => Date.now() - minutes * 60_000
    const [long, lately] = [await storedRecord(store, {}, minutesAgo(61)), await storedRecord(store, {}, minutesAgo(50))]
    await store.revokeUser('alice')
    await store.revokeUser('bob')
    await marks.updateOne({ _id: { epochOf: 'bob' } }, { $set: { forgetAt: new Date(minutesAgo(61)) } })
    const exists = async (record: { id: string }) => (await store.read(record.id)) !== undefined
    await expect.poll(() => exists(long), { timeout: 30_000, interval: 200 }).toBe(false)
    await expect.poll(async () => (await store.marks('bob')).userEpoch, { timeout: 30_000, interval: 200 }).toBe('')
    expect(await exists(lately)).toBe(true)
    expect((await store.marks('alice')).userEpoch).not.toBe('')
    await own.close()
    await server.stop()
  }, 90_000)

  test('keeps the laws whatever the client was set to', async () => {
    const weak: MongoClientOptions = {
      readPreference: 'secondaryPreferred',
      readConcernLevel: 'local',
      writeConcern: { w: 0 },
      retryWrites: false,
      ignoreUndefined: true,
      promoteValues: false,
      useBigInt64: false,
    }
    const [one, two] = [await connect(here?.url ?? '', weak), await connect(here?.url ?? '', weak)]
    for (const law of storeLaws({ open: () => openSpace(one, two) }).filter(({ law }) => law === 3 || law === 9)) await law.run()
  }, 60_000)

  test('what stands in the place of an id or a person is compared with, and is no operator', () =>
    inSpace(async ({ store }) => {
      const record = await storedRecord(store, { userId: 'alice' })
      for (const trick of [{ $ne: null }, { $gt: '' }, { mark: 'generation' }, ['x']]) {
        const call = (method: 'read' | 'delete' | 'listByUser' | 'revokeUser', ...more: unknown[]) =>
          Reflect.apply(store[method], store, [trick, ...more]).catch((error: unknown) => error)
        expect(await call('delete')).not.toBe(true)
        await call('read')
        expect(await call('listByUser', 9)).toEqual([])
        await call('revokeUser')
      }
      expect(await store.read(record.id)).toEqual(record)
    }))

  test('documents of another application are neither changed nor deleted', () =>
    inSpace(async ({ store, documents, plant }) => {
      await plant('theirs')
      const before = await documents.findOne({ _id: 'theirs' })
      await store.touch('theirs', later(), later())
      expect(await store.delete('theirs')).toBe(false)
      await store.replace({ ...(await preparedRecord(store)), id: 'theirs', version: 2 }, later()).catch(() => {})
      await store.revokeEveryone('theirs')
      expect(await documents.findOne({ _id: 'theirs' })).toEqual(before)
    }))

  test.each([
    ['an older format', { format: 0 }],
    ['no version', { version: null }],
    ['text where a number belongs', { createdAt: '1' }],
    ['a number that is not whole', { lastSeenAt: Number.NaN }],
    ['a person that is no text', { userId: Long.fromNumber(7) }],
  ])('a record with %s is a typed error with what to do', (_what, broken) =>
    inSpace(async ({ store, documents }) => {
      const record = await storedRecord(store, { userId: 'alice' })
      await documents.updateOne({ _id: record.id }, { $set: broken })
      const foreign = { code: 'FOREIGN_RECORD', message: expect.stringMatching(/collection of its own/) }
      const ours = await storedRecord(store)
      const [read, shared, none] = await Promise.allSettled([record.id, ours.id, 'none'].map(id => store.read(id)))
      expect(read).toMatchObject({ status: 'rejected', reason: foreign })
      // Nobody who shares the command.
      expect([shared, none]).toMatchObject([{ value: ours }, { status: 'fulfilled', value: undefined }])
      await expect(store.scan(null, 9)).rejects.toMatchObject(foreign)
    }),
  )
})

describe.skipIf(here === undefined)('law 6: a process killed between two steps of a login', () => {
  test.each([
    ['look', 'nobody'],
    ['look', 'a visitor'],
    ['file', 'nobody'],
    ['file', 'a visitor'],
  ])('before the %s, as %s: nobody is signed in by it, and the person can sign in and be signed out', (step, who) =>
    inSpace(async ({ store, collection, documents }) => {
      const sessions = createSessions({ store, secret: SECRET, production: false })
      const visitor = new Browser()
      if (who === 'a visitor') await visitor.request(sessions, ({ session }) => Object.assign(session, { cart: 'full' }))
      const args = [here?.url ?? '', collection, step, visitor.cookie ?? '']
      const child = fork(join(import.meta.dirname, 'mongo-login-killed.ts'), args)
      const [, signal] = await once(child, 'exit')
      expect(signal).toBe('SIGKILL')
      expect(await documents.countDocuments({ userId: 'ann', pending: true })).toBe(1)
      expect(await visitor.whoAmI(sessions)).toBeUndefined()
      expect(await sessions.list('ann')).toEqual([])
      await visitor.login(sessions, 'ann')
      expect(await visitor.whoAmI(sessions)).toBe('ann')
      expect(await sessions.list('ann')).toHaveLength(1)
      await sessions.revokeUser('ann')
      expect(await visitor.whoAmI(sessions)).toBeUndefined()
      expect(await documents.countDocuments({ userId: 'ann' })).toBe(0)
    }),
  )
})

describe.skipIf(mongo.missing)('the mongo store over a single server', () => {
  if (!isLong) console.log('the store laws over a single mongod: NOT RUN: npm run test:long runs them')
  test.runIf(mongo.url && isLong)(
    'keeps every law',
    async () => {
      const [one, two] = [await connect(mongo.url ?? ''), await connect(mongo.url ?? '')]
      const isSet = await isReplicaSet(one)
      for (const law of storeLaws({ open: () => openSpace(one, two) }))
        if (isSet || !law.name.startsWith('a watch ')) await law.run()
    },
    120_000,
  )

  test.runIf(mongo.url)('refuses the near cache where there is no replica set', async () => {
    const one = await connect(mongo.url ?? '')
    if (!(await isReplicaSet(one))) await expectNoNearCache(one.db())
  })
})

async function isReplicaSet(client: MongoClient): Promise<boolean> {
  return typeof (await client.db().command({ hello: 1 })).setName === 'string'
}

async function expectNoNearCache(db: MongoDb): Promise<void> {
  const sessions = createSessions({ store: mongoStore(db), secret: SECRET, production: false, nearCache: true })
  await expect(sessions.ready()).rejects.toMatchObject({
    code: 'NOT_SUPPORTED',
    message: expect.stringMatching(/no replica set.*leave nearCache out/),
  })
  await sessions.close()
}

test('a near cache over a replica set hears of a revocation, and is proven', { skip: here === undefined }, () =>
  inSpace(async ({ store, second }) => {
    const gate = gatedStore(store)
    const near = createSessions({ store: gate.store, secret: SECRET, production: false, nearCache: true })
    const strict = createSessions({ store: second(), secret: SECRET, production: false })
    await near.ready()
    const ann = new Browser()
    await ann.login(near, 'ann')
    // What this process wrote itself it does not keep before it has heard of it.
    await expect
      .poll(async () => {
        gate.reset()
        await ann.whoAmI(near)
        return gate.calls.read
      })
      .toBe(0)
    await strict.revokeUser('ann')
    await expect.poll(() => ann.whoAmI(near)).toBeUndefined()
    await near.close()
  }),
)

test('FerretDB 1 is refused at the start: its updates are not atomic', async ({ skip }) => {
  const server = await ferretdb
  if ('missing' in server) {
    console.log(`FerretDB: NOT TESTED: ${server.missing}`)
    return skip(server.missing)
  }
  const db = (await connect(server.url)).db()
  const refused = { code: 'NOT_SUPPORTED', message: expect.stringMatching(/not atomic.*coatcheck\/postgres/) }
  await expect(ensureIndexes(db)).rejects.toMatchObject(refused)
  for (const _try of [1, 2]) await expect(Promise.resolve(mongoStore(db).read('x'))).rejects.toMatchObject(refused)
  await expectNoNearCache(db)
}, 600_000)
