import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { service } from '../../../../test/services/service.ts'
import { createSessions } from '../../src/core/sessions.ts'
import { ensureIndexes, mongoStore } from '../../src/stores/mongo.ts'
import { gatedStore } from '../../src/testing/index.ts'
import { later, preparedRecord, storedRecord } from '../../src/testing/records.ts'
import { Browser, SECRET } from '../core/world.ts'
import { ask, Clients, type ReplicaSet, startReplicaSet } from './mongo-servers.ts'
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts'
import { expectHonest, Traffic } from './traffic.ts'

const mongo = await service('mongo')

const TIMEOUT_MS = 1000
/** A request may need several commands, and a save a second try. */
const BOUND_MS = 10 * TIMEOUT_MS

const clients = new Clients()
let one: ReplicaSet
let three: ReplicaSet

beforeAll(async () => {
  if (mongo.missing) return
  one = await startSet(1)
  three = await startSet(3)
}, 120_000)

afterEach(() => clients.close())
afterAll(async () => {
  if (!mongo.missing) await Promise.all([one.stop(), three.stop()])
}, 60_000)

async function startSet(members: number): Promise<ReplicaSet> {
  const set = await startReplicaSet(members)
  if ('missing' in set) throw new Error(set.missing)
  return set
}

async function proxyTo(set: ReplicaSet): Promise<{ readonly proxy: TcpProxy; readonly url: string }> {
  const proxy = await startTcpProxy((await set.primary()).port)
  return { proxy, url: `mongodb://127.0.0.1:${new URL(proxy.url).port}/?directConnection=true` }
}

async function storeAt(url: string) {
  const db = (await clients.connect(url)).db('coatcheck')
  await ensureIndexes(db)
  return mongoStore(db, { timeoutMs: TIMEOUT_MS })
}

async function trafficOver(url: string): Promise<Traffic> {
  const traffic = new Traffic(await storeAt(url))
  await traffic.start()
  await sleep(300)
  return traffic
}

describe.skipIf(mongo.missing)('law 6: an outage of MongoDB', () => {
  test('killed and restarted under traffic: only 503s, nobody signed out, nothing acknowledged is lost', async () => {
    const traffic = await trafficOver(one.url)
    await one.members[0]?.kill()
    await sleep(2500)
    await one.members[0]?.restart()
    const backMs = await traffic.isBack(60_000)
    const seen = await traffic.end()
    expectHonest('mongo, killed and restarted', seen, { boundMs: BOUND_MS, backMs })
    expect(seen.refused).toBeGreaterThan(0)
  }, 120_000)

  test('a connection cut in the middle of a reply, ten times under traffic', async () => {
    const { proxy, url } = await proxyTo(one)
    const traffic = await trafficOver(url)
    for (let i = 0; i < 10; i++) {
      proxy.cutNextAnswers()
      await sleep(200)
    }
    const backMs = await traffic.isBack(60_000)
    const seen = await traffic.end()
    expectHonest('mongo, cut in a reply', seen, { boundMs: BOUND_MS, backMs })
    expect(proxy.cuts).toBeGreaterThan(0)
    await proxy.close()
  }, 120_000)

  test('a server that stops answering: every request ends in bounded time', async () => {
    const traffic = await trafficOver(one.url)
    one.members[0]?.pause()
    await sleep(2500)
    one.members[0]?.resume()
    const backMs = await traffic.isBack(60_000)
    const seen = await traffic.end()
    expectHonest('mongo, frozen', seen, { boundMs: BOUND_MS, backMs })
    expect(seen.refused).toBeGreaterThan(0)
  }, 120_000)
})

describe.skipIf(mongo.missing)('law 9: a watch over MongoDB', () => {
  // Guard: in client.ts the write concern.
  test('proves nothing over a primary that has lost its majority, nor is a write acknowledged', async () => {
    const set = three
    // The server's own default is a majority too: a client that asks for less must not count.
    const store = await storeAt(`${set.url}&w=1`)
    const [record, next] = [await storedRecord(store), await preparedRecord(store)]
    const watch = await store.watch?.(() => {})
    await watch?.prove()
    const primary = await set.primary()
    const others = set.members.filter(member => member !== primary)
    for (const other of others) other.pause()
    const failed = { code: 'STORE_UNAVAILABLE' }
    await expect(watch?.prove()).rejects.toMatchObject(failed)
    await expect(store.create(next, later())).rejects.toMatchObject(failed)
    for (const other of others) other.resume()
    await set.primary()
    await expect
      .poll(
        () =>
          watch?.prove().then(
            () => true,
            () => false,
          ),
        { timeout: 60_000 },
      )
      .toBe(true)
    expect(await store.read(record.id)).toEqual(record)
    await watch?.close()
  }, 120_000)

  test('hears of the collection’s end, and is lost', async () => {
    const store = await storeAt(one.url)
    await store.marks(null)
    const heard: (string | null)[] = []
    const watch = await store.watch?.(id => heard.push(id))
    await (await clients.connect(one.url)).db('coatcheck').collection('coatcheck').drop()
    await expect.poll(() => heard).toContain(null)
    await expect
      .poll(() =>
        watch?.prove().then(
          () => 'proven',
          () => 'lost',
        ),
      )
      .toBe('lost')
    await watch?.close()
  }, 60_000)

  test('cut off silently, serves nothing past its lease: 0 of 200', async () => {
    const { proxy, url } = await proxyTo(one)
    const lease = 1000
    const gate = gatedStore(await storeAt(url))
    const strict = createSessions({ store: await storeAt(one.url), secret: SECRET, production: false })
    const near = createSessions({ store: gate.store, secret: SECRET, production: false, nearCache: { lease } })
    await near.ready()
    const people = Array.from({ length: 200 }, (_, i) => ({ name: `person-${i}`, browser: new Browser() }))
    type Person = (typeof people)[number]
    const each = <T>(act: (person: Person) => Promise<T>) => Promise.all(people.map(act))
    /** So many writes at once would wait for each other past the store's limit. */
    const inTurns = async (act: (person: Person) => Promise<unknown>) => {
      for (let i = 0; i < people.length; i += 20) await Promise.all(people.slice(i, i + 20).map(act))
    }
    await inTurns(({ name, browser }) => browser.login(strict, name))
    const ask = ({ browser }: (typeof people)[number]) => browser.whoAmI(near).catch(error => error.code)
    // Warm: nobody's session is read from the store any more.
    await expect
      .poll(
        async () => {
          gate.reset()
          await each(ask)
          return gate.calls.read
        },
        { timeout: 30_000 },
      )
      .toBe(0)
    proxy.silent = true
    await inTurns(({ name }) => strict.revokeUser(name))
    await sleep(lease)
    const answers = await each(ask)
    console.log(
      `mongo, cut silently: ${answers.filter(answer => answer?.startsWith('person')).length} of 200 served past the lease`,
    )
    expect(new Set(answers)).toEqual(new Set(['STORE_UNAVAILABLE']))
    await proxy.close()
    await near.close()
  }, 120_000)
})

describe.skipIf(mongo.missing)('a replica set', () => {
  // Guard: in client.ts the read preference and the read concern.
  test('is asked for what a majority has, of its primary, whatever the client prefers', async () => {
    await storeAt(three.url)
    const client = await clients.connect(`${three.url}&readPreference=secondary&readConcernLevel=local`, {
      monitorCommands: true,
    })
    const store = mongoStore(client.db('coatcheck'))
    const asked = new Set<string>()
    client.on('commandStarted', ({ commandName, address, command }) => {
      if (commandName === 'find') asked.add(`${address} ${command.readConcern?.level}`)
    })
    for (let i = 0; i < 20; i++) await store.read('x')
    expect([...asked]).toEqual([`127.0.0.1:${(await three.primary()).port} majority`])
  }, 60_000)
})

describe.skipIf(mongo.missing)('a member of a set that is asked directly', () => {
  test('is refused with a typed error that says what to do, if it is a secondary', async () => {
    const set = three
    await storeAt(set.url)
    const primary = await set.primary()
    const secondary = set.members.find(member => member !== primary)
    const db = (await clients.connect(`${secondary?.url}?directConnection=true`)).db('coatcheck')
    const expected = { code: 'STORE_UNAVAILABLE', message: expect.stringMatching(/no primary.*replicaSet=/) }
    const record = await preparedRecord(mongoStore((await clients.connect(set.url)).db('coatcheck')))
    await expect(mongoStore(db).create(record, later())).rejects.toMatchObject(expected)
    await expect(Promise.resolve(mongoStore(db).read(record.id))).rejects.toMatchObject(expected)
    await expect(mongoStore(db).revokeUser('alice')).rejects.toMatchObject(expected)
    await expect(ensureIndexes(db, { collection: 'another' })).rejects.toMatchObject(expected)
  }, 120_000)
})

describe.skipIf(mongo.missing)('law 6: a failover of MongoDB', () => {
  test('a primary killed, and the next one told to step down, under traffic: another one takes over, and nothing is undone', async () => {
    const set = three
    const traffic = await trafficOver(set.url)
    const first = await set.primary()
    await first.kill()
    await sleep(500)
    const second = await set.primary()
    const backMs = await traffic.isBack(60_000)
    await first.restart()
    await traffic.isBack(60_000)
    await ask(second, { replSetStepDown: 30, secondaryCatchUpPeriodSecs: 10 })
    const third = await set.primary()
    await traffic.isBack(60_000)
    const seen = await traffic.end()
    expectHonest('mongo, primary killed, next one stepped down', seen, { boundMs: BOUND_MS, backMs })
    expect([first, third]).not.toContain(second)
  }, 180_000)
})
