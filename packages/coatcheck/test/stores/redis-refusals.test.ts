import { randomUUID } from 'node:crypto'
import { mkdir, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Cluster, Redis } from 'ioredis'
import { createClient, createCluster, createSentinel } from 'redis'
import { afterEach, describe, expect, test } from 'vitest'
import { startRedis } from '../../../../test/services/redis.ts'
import type { Server } from '../../../../test/services/server.ts'
import { service } from '../../../../test/services/service.ts'
import { encodeRecord as encodeTextRecord } from '../../src/core/record.ts'
import { createSessions } from '../../src/core/sessions.ts'
import { placeOf } from '../../src/stores/redis/user-index.ts'
import { type RedisClient, redisStore } from '../../src/stores/redis.ts'
import { later, nextVersion, preparedRecord, sampleRecord, storedRecord } from '../../src/testing/records.ts'
import { Browser, codeOf, SECRET } from '../core/world.ts'
import { type Connect, clients } from './redis-clients.ts'
import { startTcpProxy } from './tcp-proxy.ts'

const redis = await service('redis')
const cluster = await service('redis-cluster')

const TIMEOUT_MS = 500
const MIB = 1024 * 1024

const endings: (() => unknown)[] = []
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end()
})

async function started(args: readonly string[] = []): Promise<Server> {
  const server = await startRedis(args)
  if ('missing' in server) throw new Error(server.missing)
  endings.push(() => server.stop())
  return server
}

async function connected(url: string) {
  const client = createClient({ url })
  await client.connect()
  endings.push(() => client.destroy())
  return client
}

async function storeOn(connect: Connect, url: string) {
  const connection = await connect(url)
  endings.push(() => connection.close())
  return redisStore(connection.client)
}

/** As a person makes them whose URL is wrong: `redis` says so when it connects, and has to be connected again. */
const unconnected = {
  redis(url: string): RedisClient {
    const client = createClient({ url }).on('error', () => {})
    client.connect().catch(() => {})
    endings.push(() => client.destroy())
    return client
  },
  ioredis(url: string): RedisClient {
    const client = new Redis(url).on('error', () => {})
    endings.push(() => client.disconnect())
    return client
  },
}

async function expectUnavailable(act: () => unknown, saying: string): Promise<void> {
  await expect((async () => act())()).rejects.toMatchObject({
    code: 'STORE_UNAVAILABLE',
    status: 503,
    message: expect.stringContaining(saying),
    cause: expect.anything(),
  })
}

describe.skipIf(redis.missing).each(Object.entries(unconnected))('a URL that is wrong, over %s', (_name, make) => {
  const acts = (url: string, timeoutMs = TIMEOUT_MS) => {
    const store = redisStore(make(url), { timeoutMs })
    return [
      () => store.read('id'),
      () => store.marks(null),
      () => store.create(sampleRecord({ generation: 'abcdefgh' }), later()),
    ]
  }

  test('nobody listens there: within timeoutMs', async () => {
    for (const act of acts('redis://127.0.0.1:1')) await expectUnavailable(act, 'cannot be reached')
  })

  test.each([
    ['a wrong password', 'user:wrong@'],
    ['no password', ''],
  ])(
    '%s',
    async (_what, credentials) => {
      const server = await started(['--requirepass', 'a password'])
      for (const act of acts(`redis://${credentials.replace('user', 'default')}127.0.0.1:${server.port}`)) {
        const error = await (async () => act())().catch(error => error)
        expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE', status: 503 })
        // What the client itself keeps back when it cannot sign in, it says to its own listener.
        expect(error.message).toMatch(/password or user is wrong|cannot be reached/)
        expect(JSON.stringify([error.message, String(error.cause)])).not.toContain('a password')
      }
    },
    60_000,
  )

  test('a database that there is not: never another one', async () => {
    const server = await started()
    // `redis` tries again and again, after up to two seconds, and answers what waits each time.
    for (const act of acts(`${server.url}/99`, 10_000)) {
      const error = await (async () => act())().catch(error => error)
      expect(error).toMatchObject({
        code: 'STORE_UNAVAILABLE',
        message: expect.stringMatching(/database number is wrong/),
      })
    }
    expect(await (await connected(server.url)).dbSize()).toBe(0)
  }, 60_000)
})

/** Of a Cluster or a Sentinel, by the address of one node. */
const unconnectedFleets = {
  'a Cluster, redis'(url: string): RedisClient {
    const client = createCluster({ rootNodes: [{ url }] }).on('error', () => {})
    client.connect().catch(() => {})
    endings.push(() => client.destroy())
    return client
  },
  'a Cluster, ioredis'(url: string): RedisClient {
    const client = new Cluster([url]).on('error', () => {})
    endings.push(() => client.disconnect())
    return client
  },
  'a Sentinel, redis'(url: string): RedisClient {
    const { hostname: host, port, username, password } = new URL(url)
    const client = createSentinel({
      name: 'ours',
      sentinelRootNodes: [{ host, port: Number(port) }],
      sentinelClientOptions: { username, password },
    })
    client.on('error', () => {})
    client.connect().catch(() => {})
    endings.push(() => client.destroy())
    return client
  },
  'a Sentinel, ioredis'(url: string): RedisClient {
    const { hostname: host, port, username, password } = new URL(url)
    const auth = { sentinelUsername: username, sentinelPassword: password }
    const client = new Redis({ name: 'ours', sentinels: [{ host, port: Number(port) }], ...auth }).on('error', () => {})
    endings.push(() => client.disconnect())
    return client
  },
}

describe.skipIf(redis.missing).each(Object.entries(unconnectedFleets))('a URL that is wrong, over %s', (_name, make) => {
  async function expectTold(url: string): Promise<void> {
    const store = redisStore(make(url), { timeoutMs: TIMEOUT_MS })
    for (const act of [() => store.read('id'), () => store.marks(null)])
      await expect((async () => act())()).rejects.toMatchObject({
        code: 'STORE_UNAVAILABLE',
        status: 503,
        message: expect.stringMatching(/password or user is wrong|cannot be reached/),
      })
  }

  test('nobody listens there', () => expectTold('redis://127.0.0.1:1'))

  test('a wrong password', async () => {
    const server = await started(['--requirepass', 'a password'])
    await expectTold(`redis://default:wrong@127.0.0.1:${server.port}`)
  })
})

type Client = Awaited<ReturnType<typeof connected>>

/** What a server has too little of, and how it comes to have enough again. */
const filling = {
  memory: async (client: Client) => {
    await client.configSet('maxmemory', '100kb')
    return () => client.configSet('maxmemory', '0')
  },
  disk: async (client: Client) => {
    // Where its file should go stands a folder.
    const { dir } = await client.configGet('dir')
    const place = join(dir as string, 'taken')
    await mkdir(place)
    // Or a disk that fails is none of its business.
    await client.configSet('save', '3600 1000000')
    await saving(client, 'err')
    return async () => {
      await rmdir(place)
      await saving(client, 'ok')
    }
  },
}

/** Lets the server save, until it says that it came out so. */
async function saving(client: Client, outcome: 'ok' | 'err'): Promise<void> {
  await client.bgSave()
  await expect.poll(() => client.info('persistence'), { timeout: 10_000 }).toContain(`rdb_last_bgsave_status:${outcome}`)
}

describe.skipIf(redis.missing).each(Object.entries(clients))('what Redis will not take, over %s', (_name, connect) => {
  test('full memory: nothing is lost, reads and sign-outs go on, and a login says why not', async () => {
    const server = await started()
    const store = await storeOn(connect, server.url)
    const sessions = createSessions({ store, secret: SECRET, production: false })
    const [ann, bob] = [new Browser(), new Browser()]
    await ann.login(sessions, 'ann')
    await bob.login(sessions, 'bob')
    await new Browser().login(sessions, 'bob')
    const [record] = [await storedRecord(store, { userId: 'dan' }), await storedRecord(store, { userId: 'dan' })]
    // Less than it uses: from here on it takes nothing that may need more.
    await (await connected(server.url)).configSet('maxmemory', '100kb')
    await expectUnavailable(() => new Browser().login(sessions, 'cleo'), 'maxmemory')
    await expectUnavailable(() => ann.request(sessions, ({ session }) => Object.assign(session, { n: 1 })), 'maxmemory')
    expect([await ann.whoAmI(sessions), await bob.whoAmI(sessions)]).toEqual(['ann', 'bob'])
    for (const browser of [ann, bob]) {
      const before = browser.fork()
      await browser.request(sessions, ({ session }) => session.logout())
      expect(await before.whoAmI(sessions)).toBeUndefined()
    }
    // What is filed of this one cannot be taken out: that is no reason to say that it did not end.
    expect(await store.delete(record.id, 'dan')).toBe(true)
    expect(await store.read(record.id)).toBeUndefined()
  }, 60_000)

  // Guard: in redis/client.ts `refusedWhole`; without it these rotations count as of unknown outcome, and sign her out.
  test.each(Object.entries(filling))(
    'law 6: a %s that is full signs nobody in or out: all are who they were',
    async (_what, fill) => {
      const server = await started(['--dbfilename', 'taken'])
      const sessions = createSessions({ store: await storeOn(connect, server.url), secret: SECRET, production: false })
      const ended: string[] = []
      sessions.on('session.ended', ({ reason }) => ended.push(reason))
      const [ann, visitor] = [new Browser(), new Browser()]
      await ann.login(sessions, 'ann')
      await visitor.request(sessions, ({ session }) => Object.assign(session, { cart: 'full' }))
      const empty = await fill(await connected(server.url))
      const refused = { code: 'STORE_UNAVAILABLE', status: 503, notDone: true }
      for (const act of [
        () => ann.request(sessions, ({ session }) => session.rotate()),
        () => ann.request(sessions, ({ session }) => Object.assign(session, { role: 'admin' })),
        () => ann.login(sessions, 'ann'),
        () => visitor.login(sessions, 'bob'),
      ])
        await expect(act()).rejects.toMatchObject(refused)
      await expectUnavailable(() => new Browser().login(sessions, 'cleo'), 'takes no')
      await empty()
      expect(await ann.whoAmI(sessions)).toBe('ann')
      expect((await visitor.request(sessions)).session).toMatchObject({ cart: 'full' })
      expect(ended).toEqual([])
      await visitor.login(sessions, 'bob')
      expect((await sessions.list('bob')).length + (await sessions.list('cleo')).length).toBe(1)
    },
  )

  test('a session of 10 MiB, where maxDataBytes allows it, is kept', async () => {
    const store = await storeOn(connect, redis.url as string)
    const sessions = createSessions({ store, secret: SECRET, production: false, maxDataBytes: 16 * MIB })
    const browser = new Browser()
    const note = 'ü'.repeat(5 * MIB)
    await browser.request(sessions, ({ session }) => Object.assign(session, { note }))
    const { session } = await browser.request(sessions)
    expect(Reflect.get(session, 'note') === note).toBe(true)
    await browser.request(sessions, ({ session }) => session.logout())
  }, 60_000)

  test('a session beyond proto-max-bulk-len says which setting, and what was saved before stays', async () => {
    const server = await started(['--proto-max-bulk-len', '1mb'])
    const store = await storeOn(connect, server.url)
    const record = await storedRecord(store, { data: '{"a":1}' })
    const large = nextVersion(record, { data: JSON.stringify({ note: 'x'.repeat(2 * MIB) }) })
    await expectUnavailable(() => store.replace(large, later()), 'proto-max-bulk-len')
    await expect.poll(() => codeOf(() => store.read(record.id)), { timeout: 10_000 }).toBeUndefined()
    expect(await store.read(record.id)).toEqual(record)
  }, 60_000)

  test('a session beyond proto-max-bulk-len says so, too, where the reason is lost with the connection', async () => {
    const server = await started(['--proto-max-bulk-len', '1mb'])
    const proxy = await startTcpProxy(server.port)
    endings.push(() => proxy.close())
    const store = await storeOn(connect, proxy.url)
    const record = await storedRecord(store, { data: '{"a":1}' })
    proxy.cutNextAnswers()
    const large = nextVersion(record, { data: JSON.stringify({ note: 'x'.repeat(2 * MIB) }) })
    await expectUnavailable(() => store.replace(large, later()), 'proto-max-bulk-len')
  }, 60_000)

  test.skipIf(cluster.missing)('a client for one server on a node of a Cluster', async () => {
    const store = await storeOn(connect, cluster.url as string)
    for (const act of [() => store.read('id'), () => store.marks('ann'), async () => store.delete('id')])
      await expectUnavailable(act, 'a node of a Cluster')
  })
})

describe.skipIf(redis.missing)('what is not ours under a key of ours is a typed error, and stays as it is', () => {
  const cases: [string, (id: string) => Buffer | string][] = [
    ["another application's text", () => '{"cookie":{}}'],
    ['a record of the format before this one', id => encodeTextRecord(sampleRecord({ id, generation: 'abcdefgh' }))],
    ['a record of a format to come', () => Buffer.from([0x63, 3, ...Buffer.alloc(200)])],
    ['a record that was cut off', () => Buffer.from([0x63, 2, ...Buffer.alloc(2)])],
    ['nothing at all', () => ''],
  ]

  test.each(cases)('%s', async (_what, make) => {
    const client = await connected(redis.url as string)
    const prefix = `test:${randomUUID()}:`
    const store = redisStore(client, { prefix })
    const record = await preparedRecord(store, { userId: 'ann' })
    const value = Buffer.from(make(record.id))
    await client.set(`${prefix}s:${record.id}`, value)
    expect(await codeOf(() => store.read(record.id))).toBe('FOREIGN_RECORD')
    expect(await codeOf(() => store.replace(nextVersion(record), later()))).toBe('FOREIGN_RECORD')
    expect(await store.create(record, later())).toBe('taken')
    await store.touch(record.id, Date.now() + 1000, later())
    expect(await codeOf(() => store.delete(record.id))).toBe(value.length === 0 ? undefined : 'FOREIGN_RECORD')
    expect(await store.listByUser('ann', 9)).toEqual([])
    const stored = await client.withTypeMapping({ 36: Buffer }).get(`${prefix}s:${record.id}`)
    expect(stored).toEqual(value)
  })

  test.each([
    ["another application's list under a bucket of people", (client: Admin, key: string) => client.rPush(key, 'x')],
    ['a field that we did not write', (client: Admin, key: string) => client.hSet(key, placeOf('ann').person, 'x')],
  ])('%s', async (_what, plant) => {
    const client = await connected(redis.url as string)
    const prefix = `test:${randomUUID()}:`
    const store = redisStore(client, { prefix })
    await plant(client, `${prefix}u:${placeOf('ann').bucket}`)
    const record = await preparedRecord(store)
    for (const act of [
      () => store.marks('ann'),
      () => store.listByUser('ann', 9),
      () => store.revokeUser('ann'),
      () => store.create({ ...record, userId: 'ann' }, later()),
    ])
      expect(await codeOf(act)).toBe('FOREIGN_RECORD')
  })
})

type Admin = Awaited<ReturnType<typeof connected>>

describe.skipIf(redis.missing)('a Redis that evicts', () => {
  const policies: [string, readonly string[], number][] = [
    ['warns once', ['--maxmemory', '100mb', '--maxmemory-policy', 'volatile-lru'], 1],
    ['does not warn with noeviction', ['--maxmemory', '100mb', '--maxmemory-policy', 'noeviction'], 0],
    ['does not warn without a limit', ['--maxmemory-policy', 'allkeys-lru'], 0],
  ]

  test.each(policies)('%s', async (_what, args, count) => {
    const warnings: string[] = []
    const heard = ({ name, message }: Error) => name === 'CoatcheckWarning' && warnings.push(message)
    process.on('warning', heard)
    endings.push(() => process.off('warning', heard))
    const server = await started(args)
    const store = await storeOn(clients.ioredis, server.url)
    for (let i = 0; i < 3; i++) await store.marks('ann')
    const other = await connected(server.url)
    await expect.poll(async () => (await other.info('commandstats')).includes('cmdstat_info')).toBe(true)
    // The answer is there; a warning is told in a later turn.
    await sleep(500)
    expect(warnings.filter(text => text.includes('maxmemory-policy'))).toHaveLength(count)
  })
})

describe('what is refused at start-up', () => {
  const idle = { callBuffer: async () => null, defineCommand() {} }

  test.each([
    ['a prefix with braces', () => redisStore({ sendCommand: async () => null }, { prefix: '{app}:' })],
    ['a timeout of 0', () => redisStore({ sendCommand: async () => null }, { timeoutMs: 0 })],
    ['no client', () => redisStore(JSON.parse('{}'))],
    ['a client of replicas', () => redisStore(Object.assign(idle, { options: { role: 'slave' } }))],
    [
      'a wait for replicas as long as a command may take',
      () =>
        redisStore({ sendCommand: async () => null }, { timeoutMs: 500, confirmRevocations: { replicas: 1, timeoutMs: 500 } }),
    ],
  ])('%s', async (_what, make) => {
    expect(await codeOf(async () => make())).toBe('BAD_OPTION')
  })

  test.skipIf(redis.missing)(
    'a wrapper that keeps the options of sendCommand to itself is found out by the first read',
    async () => {
      const client = await createClient({ url: redis.url as string }).connect()
      endings.push(() => client.destroy())
      const prefix = `test:${randomUUID()}:`
      const record = await storedRecord(redisStore(client, { prefix }))
      const wrapped = redisStore({ sendCommand: (args: (string | Buffer)[]) => client.sendCommand(args) }, { prefix })
      expect(await codeOf(() => wrapped.read(record.id))).toBe('BAD_OPTION')
    },
  )
})
