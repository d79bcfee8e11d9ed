import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MemcacheClient } from 'memcache-client'
import { afterEach, describe, expect, test } from 'vitest'
import { startMemcached } from '../../../../test/services/memcached.ts'
import { service } from '../../../../test/services/service.ts'
import { sha256 } from '../../src/core/crypto.ts'
import { createSessions } from '../../src/core/sessions.ts'
import { expiryOf } from '../../src/stores/memcached/items.ts'
import { memcachedStore } from '../../src/stores/memcached.ts'
import { storeLaws } from '../../src/testing/index.ts'
import { HOUR_MS, later, nextVersion, preparedRecord, sampleHash, sampleRecord, storedRecord } from '../../src/testing/records.ts'
import { Browser, SECRET } from '../core/world.ts'
import { connect, openSpace, recorded, tapped } from './memcached-clients.ts'

const memcached = await service('memcached')

const DAY_MS = 24 * HOUR_MS

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

/** A store under a prefix of its own, another over the same records, and the client below. */
async function opened(url = memcached.url as string) {
  const space = openSpace(url)
  closing.push(space.close)
  const [store, other] = [space.store, await space.second()]
  return { store, other, prefix: space.prefix, client: space.client }
}

const personKey = (prefix: string, userId: string) => `${prefix}u:${sha256(userId).slice(0, 22)}`
const indexKey = (prefix: string, userId: string) => `${prefix}i:${sha256(userId).slice(0, 22)}`

describe.skipIf(memcached.missing)('the memcached store', () => {
  const open = () => openSpace(memcached.url as string)
  for (const law of storeLaws({ open, noPrune: 'memcached forgets by itself' })) test(law.name, law.run)
})

describe('when memcached is told to forget', () => {
  test.each([
    ['a whole second', 1_800_000_000_000, 1_800_000_001],
    ['a part of a second is rounded up', 1_800_000_000_001, 1_800_000_002],
    ['the past stays the past', 1000, 30 * 86_400 + 1],
    ['even before all time', -5000, 30 * 86_400 + 1],
    ['the last second that the protocol takes', 2_147_483_646_000, 2_147_483_647],
    ['past that there is no expiry', 2_147_483_646_001, 0],
  ])('%s', (_, forgetAt, expiry) => expect(expiryOf(forgetAt)).toBe(expiry))
})

describe.skipIf(memcached.missing)('law 8: lifetimes that memcached clients get wrong', () => {
  test.each([
    ['31 days', 31 * DAY_MS],
    ['400 days', 400 * DAY_MS],
    ['50 years', 50 * 365 * DAY_MS],
  ])('a session of %s is kept', async (_, ms) => {
    const { store } = await opened()
    const record = await storedRecord(store, { userId: 'alice', expiresAt: Date.now() + ms }, Date.now() + ms)
    await store.touch(record.id, record.lastSeenAt + 1, Date.now() + ms)
    await sleep(1100)
    expect(await store.read(record.id)).toMatchObject({ lastSeenAt: record.lastSeenAt + 1 })
  })

  test('a save that comes late from the past does not shorten a life', async () => {
    const { store } = await opened()
    const forgetAt = Date.now() + 500
    const record = await storedRecord(store, {}, forgetAt + HOUR_MS)
    expect(await store.replace(nextVersion(record), forgetAt)).toBe('saved')
    await sleep(4000)
    expect(await store.read(record.id)).toBeDefined()
  }, 20_000)

  test('a life of under a second ends, and not before its time', async () => {
    const { store } = await opened()
    const forgetAt = Date.now() + 600
    const record = await storedRecord(store, {}, forgetAt)
    const found = await store.read(record.id)
    if (Date.now() < forgetAt) expect(found).toEqual(record)
    await expect.poll(() => store.read(record.id), { timeout: 10_000 }).toBeUndefined()
  })
})

describe.skipIf(memcached.missing)('law 2: what memcached forgot is dead, never alive', () => {
  test("an evicted person ends all of that person's sessions for good, and nobody else's", async () => {
    const { store, other, client, prefix } = await opened()
    const [one, two] = [await storedRecord(store, { userId: 'alice' }), await storedRecord(store, { userId: 'alice' })]
    const [bobs, visitors] = [await storedRecord(store, { userId: 'bob' }), await storedRecord(store)]
    await client.delete(personKey(prefix, 'alice'))
    for (const { id } of [one, two]) expect(await other.read(id)).toBeUndefined()
    const fresh = await storedRecord(store, { userId: 'alice' })
    for (const { id } of [one, two]) expect(await other.read(id)).toBeUndefined()
    expect(await store.replace(nextVersion(one), later())).toBe('gone')
    for (const record of [fresh, bobs, visitors]) expect(await other.read(record.id)).toEqual(record)
  })

  test('a login whose person was evicted on the way is refused, whether or not there was a revocation', async () => {
    const { store, client, prefix } = await opened()
    const [plain, visitor] = [await preparedRecord(store, { userId: 'alice' }), await storedRecord(store)]
    await client.delete(personKey(prefix, 'alice'))
    expect(await store.create(plain, later())).toBe('refused')
    const marks = { userId: 'alice', userEpoch: plain.userEpoch, generation: plain.generation, tokenHash: sampleHash() }
    expect(await store.replace(nextVersion(visitor, marks), later())).toBe('refused')
    await store.revokeUser('alice')
    const begun = await preparedRecord(store, { userId: 'alice' })
    await client.delete(personKey(prefix, 'alice'))
    await store.marks('alice')
    expect(await store.create(begun, later())).toBe('refused')
  })

  test('an evicted generation ends everything, and every login under way', async () => {
    const { store, other, client, prefix } = await opened()
    const living = [await storedRecord(store, { userId: 'alice' }), await storedRecord(store)]
    const begun = await preparedRecord(store, { userId: 'alice' })
    await client.delete(`${prefix}generation`)
    for (const { id } of living) expect(await other.read(id)).toBeUndefined()
    expect(await store.create(begun, later())).toBe('refused')
    await store.marks('alice')
    expect(await store.create(begun, later())).toBe('refused')
    for (const { id } of living) expect(await other.read(id)).toBeUndefined()
    expect(await other.read((await storedRecord(store, { userId: 'alice' })).id)).toBeDefined()
  })

  test('an evicted index costs revokeUser the ids, and saves nobody', async () => {
    const { store, client, prefix } = await opened()
    const record = await storedRecord(store, { userId: 'alice' })
    await client.delete(indexKey(prefix, 'alice'))
    expect(await store.revokeUser('alice')).toEqual([])
    expect(await store.read(record.id)).toBeUndefined()
  })

  test('a person is remembered for as long as a session that was prolonged by a save', async () => {
    const { store, client, prefix } = await opened()
    const record = await storedRecord(store, { userId: 'alice', expiresAt: Date.now() + DAY_MS })
    const expiresAt = Date.now() + 300 * DAY_MS
    expect(await store.replace(nextVersion(record, { expiresAt }), expiresAt)).toBe('saved')
    const { value } = (await client.gets<string>(personKey(prefix, 'alice'))) ?? {}
    expect(Number.parseInt(String(value).split('\0')[3] ?? '', 36)).toBeGreaterThan(expiresAt)
  })

  test('a login attempt late in the life of another one keeps its person until it lands', async () => {
    const { store, client, prefix } = await opened()
    await store.marks('alice')
    const almostOver = `p1\0an-epoch\0\0${(Date.now() + 5000).toString(36)}`
    await client.set(personKey(prefix, 'alice'), almostOver, { lifetime: 5 })
    const begun = await preparedRecord(store, { userId: 'alice' })
    await sleep(7000)
    expect(await store.create(begun, later())).toBe('created')
  }, 20_000)
})

describe.skipIf(memcached.missing)('what comes between a look and a write', () => {
  /** Two stores over one prefix; before the first one's next compare-and-set of a key like this, `meanwhile` happens. */
  async function raced(keyPart: string, meanwhile: () => Promise<unknown>) {
    const { other, client, prefix } = await opened()
    let armed = false
    const tap = tapped(client, async key => {
      if (!armed || !key.includes(keyPart)) return
      armed = false
      await meanwhile()
    })
    return { store: memcachedStore(tap, { prefix }), other, arm: () => (armed = true), client, prefix }
  }

  test('law 2: a save, a touch and a carry-over that come after the end do not bring it back', async () => {
    for (const act of ['replace', 'touch', 'revokeEveryone'] as const) {
      const { store, other, arm } = await raced(':s:', async () => other.delete(record.id))
      const record = await storedRecord(store, { userId: 'alice' })
      arm()
      if (act === 'replace') expect(await store.replace(nextVersion(record), later())).toBe('gone')
      if (act === 'touch') await store.touch(record.id, record.lastSeenAt + 1, later())
      if (act === 'revokeEveryone') await store.revokeEveryone(record.id)
      expect(await other.read(record.id)).toBeUndefined()
    }
  })

  test('law 8: a touch that comes between is neither a conflict nor lost', async () => {
    const { store, other, arm } = await raced(':s:', () => other.touch(record.id, record.lastSeenAt + 5, later()))
    const record = await storedRecord(store, { userId: 'alice' })
    arm()
    const save = nextVersion(record, { data: '{"a":1}' })
    expect(await store.replace(save, later())).toBe('saved')
    expect(await other.read(record.id)).toEqual({ ...save, lastSeenAt: record.lastSeenAt + 5 })
  })

  test('law 3: a save that comes between is a conflict for the next, and no touch overwrites it', async () => {
    for (const act of ['replace', 'touch'] as const) {
      const { store, other, arm } = await raced(':s:', () => other.replace(first, later()))
      const record = await storedRecord(store, { userId: 'alice' })
      const first = nextVersion(record, { data: '{"first":1}' })
      arm()
      if (act === 'replace') expect(await store.replace(nextVersion(record), later())).toBe('conflict')
      else await store.touch(record.id, record.lastSeenAt + 3, later())
      expect(await other.read(record.id)).toEqual({ ...first, lastSeenAt: record.lastSeenAt + (act === 'touch' ? 3 : 0) })
    }
  })

  test("delete with a userId spares what became another's meanwhile", async () => {
    const { store, other, arm } = await raced(':s:', async () => {
      const bobs = nextVersion(record, { userId: 'bob', ...(await other.marks('bob')), tokenHash: sampleHash() })
      expect(await other.replace(bobs, later())).toBe('saved')
    })
    const record = await storedRecord(store, { userId: 'alice' })
    arm()
    expect(await store.delete(record.id, 'alice')).toBe(false)
    expect((await other.read(record.id))?.userId).toBe('bob')
  })

  test('law 9: what one revocation spares, another at the same moment ends', async () => {
    const { store, other, arm } = await raced(':u:', () => other.revokeUser('alice'))
    const record = await storedRecord(store, { userId: 'alice' })
    arm()
    await store.revokeUser('alice', record.id)
    expect(await other.read(record.id)).toBeUndefined()
  })

  test('what a revocation spares is at no moment missing', async () => {
    const seen: unknown[] = []
    const { store, other, arm } = await raced(':u:', async () => seen.push(await other.read(record.id)))
    const record = await storedRecord(store, { userId: 'alice' })
    arm()
    await store.revokeUser('alice', record.id)
    expect([...seen, await other.read(record.id)]).toEqual([record, record])
  })

  test('law 2: a revocation that dies half-way revives nothing, and can be finished', async () => {
    const { store, other, arm } = await raced(':u:', () => Promise.reject(new Error('killed')))
    const [kept, ended] = [await storedRecord(store, { userId: 'alice' }), await storedRecord(store, { userId: 'alice' })]
    arm()
    await expect(store.revokeUser('alice', kept.id)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(await other.revokeUser('alice', kept.id)).toEqual([ended.id])
    expect(await other.read(kept.id)).toEqual(kept)
    expect(await other.revokeUser('alice')).toEqual([kept.id])
    expect(await other.read(kept.id)).toBeUndefined()
  })

  test('law 2: what one revokeEveryone would carry over, another at the same moment ends', async () => {
    const { store, other, arm } = await raced('generation', () => other.revokeEveryone())
    const record = await storedRecord(store, { userId: 'alice' })
    arm()
    await store.revokeEveryone(record.id)
    expect(await other.read(record.id)).toBeUndefined()
  })

  test('law 2: revokeEveryone that dies before it carried its session over leaves it dead', async () => {
    const { store, other, arm } = await raced(':s:', () => Promise.reject(new Error('killed')))
    const kept = await storedRecord(store, { userId: 'alice' })
    arm()
    await expect(store.revokeEveryone(kept.id)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(await other.read(kept.id)).toBeUndefined()
    await other.revokeEveryone(kept.id)
    expect(await other.read(kept.id)).toBeUndefined()
  })
})

describe.skipIf(memcached.missing)('typed errors that say what to do', () => {
  test('a session too large for a value of memcached, which keeps the last one', async () => {
    const { store } = await opened()
    const record = await storedRecord(store)
    const huge = JSON.stringify({ huge: 'x'.repeat(10 * 2 ** 20) })
    for (const act of [
      () => store.replace(nextVersion(record, { data: huge }), later()),
      async () => store.create(await preparedRecord(store, { data: huge }), later()),
    ])
      await expect(act()).rejects.toMatchObject({ code: 'SESSION_TOO_LARGE', message: expect.stringContaining('-I') })
    expect(await store.read(record.id)).toEqual(record)
  })

  test("another application's value under the key of a person or of the generation", async () => {
    const { store, client, prefix } = await opened()
    const record = await storedRecord(store, { userId: 'alice' })
    await client.set(personKey(prefix, 'alice'), 'somebody else’s', { lifetime: 0 })
    await expect(store.read(record.id)).rejects.toMatchObject({ code: 'FOREIGN_RECORD' })
    await client.set(`${prefix}generation`, 'of another application', { lifetime: 0 })
    await expect(store.read(record.id)).rejects.toMatchObject({ code: 'FOREIGN_RECORD' })
    for (const foreign of [{ json: true }, 7, Buffer.from('bytes'), 'm1\0\0no time\0']) {
      await client.set(`${prefix}s:${record.id}`, foreign, { lifetime: 0 })
      await expect(store.read(record.id), String(foreign)).rejects.toMatchObject({ code: 'FOREIGN_RECORD' })
    }
    // As a client with a compressor would have written it.
    await client.send(`set ${prefix}s:${record.id} 1 0 4\r\nzstd\r\n`)
    await expect(store.read(record.id)).rejects.toMatchObject({ code: 'FOREIGN_RECORD' })
  })

  // Guard: in memcached.ts `#livingOrAlone`, for what the client cannot unpack.
  test.each([
    ['under the id of a session', (prefix: string, id: string) => `${prefix}s:${id}`],
    ['under the key of a person', (prefix: string) => personKey(prefix, 'alice')],
  ])("another application's value %s is no trouble to those who are read with it", async (_where, key) => {
    const { client, prefix } = await opened()
    // As of one with a compressor of its own, whose words nobody knows.
    const decompressSync = () => {
      throw new Error('incorrect header check')
    }
    const packing = new MemcacheClient({
      server: new URL(memcached.url as string).host,
      compressor: { compressSync: () => Buffer.alloc(0), decompressSync },
    })
    closing.push(() => packing.shutdown())
    const store = memcachedStore(packing, { prefix })
    const [hers, his, visitor] = [
      await storedRecord(store, { userId: 'alice' }),
      await storedRecord(store, { userId: 'bob' }),
      await storedRecord(store),
    ]
    for (const [packed, code] of [
      ['0 0 4\r\nmine', 'FOREIGN_RECORD'],
      ['2 0 16\r\nobject too large', 'FOREIGN_RECORD'],
      ['2 0 7\r\nconnect', 'FOREIGN_RECORD'],
      ['1 0 4\r\nzstd', 'STORE_UNAVAILABLE'],
    ] as const) {
      await client.send(`set ${key(prefix, hers.id)} ${packed}\r\n`)
      const found = await Promise.allSettled([hers, his, visitor].map(({ id }) => store.read(id)))
      expect(found, packed).toMatchObject([{ reason: { code } }, { value: his }, { value: visitor }])
    }
  })

  test('a wrong address, and what is no memcached', async () => {
    const stranger = createServer(socket => socket.on('data', () => socket.write('HTTP/1.1 400 Bad Request\r\n'))).listen(0)
    closing.push(() => stranger.close())
    const { port } = stranger.address() as { port: number }
    for (const server of ['127.0.0.1:1', 'no-such-host.invalid:11211', `127.0.0.1:${port}`]) {
      const client = connect(`memcached://${server}`)
      closing.push(() => client.shutdown())
      const store = memcachedStore(client, { timeoutMs: 1000 })
      await expect(store.read(sampleRecord().id), server).rejects.toMatchObject({
        code: 'STORE_UNAVAILABLE',
        status: 503,
        message: expect.stringContaining('cannot be reached'),
        cause: expect.anything(),
      })
    }
  })

  test('a server that asks for a password', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'coatcheck-memcached-'))
    closing.push(() => rmSync(folder, { recursive: true }))
    chmodSync(folder, 0o755)
    writeFileSync(join(folder, 'passwords'), 'me:a-secret\n')
    const server = await startMemcached(['-Y', join(folder, 'passwords')])
    if ('missing' in server) throw new Error(server.missing)
    closing.push(server.stop)
    const { store } = await opened(server.url)
    await expect(store.read(sampleRecord().id)).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringContaining('password'),
    })
  })

  test('law 6: a server that answers nothing fails within timeoutMs, however patient the client is', async () => {
    const server = await startMemcached()
    if ('missing' in server) throw new Error(server.missing)
    closing.push(server.stop)
    const client = new MemcacheClient({ server: new URL(server.url).host, cmdTimeout: 600_000 })
    closing.push(() => client.shutdown())
    const record = await storedRecord(memcachedStore(client), { userId: 'alice' })
    const store = memcachedStore(client, { timeoutMs: 300 })
    server.pause()
    for (const act of [
      () => store.read(record.id),
      () => store.replace(nextVersion(record), later()),
      () => store.delete(record.id),
    ])
      await expect(act()).rejects.toMatchObject({
        code: 'STORE_UNAVAILABLE',
        message: expect.stringContaining('cannot be reached'),
      })
    server.resume()
    await expect.poll(async () => store.read(record.id), { timeout: 20_000 }).toEqual(record)
  }, 40_000)

  test('a full server that may not forget takes no login, and keeps what it has', async () => {
    const server = await startMemcached(['-m', '2', '-M'])
    if ('missing' in server) throw new Error(server.missing)
    closing.push(server.stop)
    const { store } = await opened(server.url)
    const first = await storedRecord(store, { userId: 'alice' })
    const data = JSON.stringify({ filler: 'x'.repeat(100_000) })
    const fill = async () => {
      for (let i = 0; i < 1000; i++) await storedRecord(store, { data })
    }
    await expect(fill()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', message: expect.stringContaining('-m') })
    expect(await store.read(first.id)).toEqual(first)
  })

  test('a full server that forgets signs out, and never in', async () => {
    const server = await startMemcached(['-m', '2'])
    if ('missing' in server) throw new Error(server.missing)
    closing.push(server.stop)
    const { store } = await opened(server.url)
    const records = []
    const data = JSON.stringify({ filler: 'x'.repeat(100_000) })
    for (let i = 0; i < 60; i++) records.push(await storedRecord(store, { userId: `person-${i}`, data }))
    const found = await Promise.all(records.map(({ id }) => store.read(id)))
    for (const [i, record] of found.entries()) if (record !== undefined) expect(record).toEqual(records[i])
    const kept = found.filter(record => record !== undefined).length
    console.log(`memcached with 2 MB: ${kept} of 60 sessions of 100 kB kept`)
    expect(kept).toBeLessThan(60)
    expect(kept).toBeGreaterThan(0)
  })

  test.each([
    ['another library’s client', { gets() {}, add() {}, set() {}, cas() {}, delete() {}, options: {} }, /memcache-client/],
    ['nothing', undefined, /memcache-client/],
    ['a client of two servers', connect('memcached://127.0.0.1:1'), /one server/],
  ])('%s is refused at start-up', (what, client, message) => {
    if (what === 'a client of two servers')
      Object.assign(client as object, { options: { server: { servers: [{ server: 'a:1' }, { server: 'b:1' }] } } })
    expect(() => memcachedStore(client as MemcacheClient)).toThrow(
      expect.objectContaining({ code: 'BAD_OPTION', message: expect.stringMatching(message) }),
    )
  })

  test.each(['with space', 'line\r\nflush_all', 'ü', '\0', 'x'.repeat(101), 7])('the prefix %j is refused', prefix => {
    const client = connect('memcached://127.0.0.1:1')
    expect(() => memcachedStore(client, { prefix: prefix as string })).toThrow(expect.objectContaining({ code: 'BAD_OPTION' }))
  })

  test.each([0, -1, 1.5, Number.NaN, 60_001])('timeoutMs %j is refused', timeoutMs => {
    const client = connect('memcached://127.0.0.1:1')
    expect(() => memcachedStore(client, { timeoutMs })).toThrow(expect.objectContaining({ code: 'BAD_OPTION' }))
  })
})

describe.skipIf(memcached.missing)('what the memcached store costs', () => {
  test('commands of each act, one after another', async () => {
    const { client, prefix } = await opened()
    const sent: string[] = []
    const store = memcachedStore(recorded(client, sent), { prefix })
    const cost = async <Answer>(act: () => Answer | Promise<Answer>): Promise<readonly [string, Answer]> => {
      sent.length = 0
      const answer = await act()
      return [sent.join(' '), answer]
    }
    await store.marks('alice')
    const [visitor, record] = [await storedRecord(store), await preparedRecord(store, { userId: 'alice' })]
    expect(await cost(() => store.read(visitor.id))).toEqual(['gets', visitor])
    // The generation, the person and the index are looked at; the person's life is prolonged, the index and the record written.
    expect(await cost(() => store.create(record, later()))).toEqual(['gets gets cas gets add add', 'created'])
    const another = await preparedRecord(store, { userId: 'alice' })
    expect(await cost(() => store.create(another, later()))).toEqual(['gets gets gets cas add', 'created'])
    expect(await cost(() => store.read(record.id))).toEqual(['gets gets', record])
    // Guard: in shared-reads.ts setImmediate.
    const [ids, found] = [
      [record.id, visitor.id, 'none', another.id],
      [record, visitor, undefined, another],
    ]
    expect(await cost(() => Promise.all(ids.map(id => store.read(id))))).toEqual(['gets gets', found])
    expect((await cost(() => store.replace(nextVersion(record), later())))[0]).toBe('gets gets cas')
    expect((await cost(() => store.touch(record.id, record.lastSeenAt + 1, later())))[0]).toBe('gets cas')
    expect((await cost(() => store.delete(record.id)))[0]).toBe('gets gets delete')
    expect((await cost(() => store.revokeEveryone()))[0]).toBe('set')
  })

  test('bytes of a session with 120 bytes of data, its person and index included, printed', async () => {
    const server = await startMemcached()
    if ('missing' in server) throw new Error(server.missing)
    closing.push(server.stop)
    const client = connect(server.url)
    closing.push(() => client.shutdown())
    const sessions = createSessions({ store: memcachedStore(client), secret: SECRET, production: false })
    const PEOPLE = 500
    for (let i = 0; i < PEOPLE; i++) {
      await new Browser().request(sessions, ({ session }) => {
        Object.assign(session, { note: 'x'.repeat(109) })
        return session.login(`4${i}`)
      })
    }
    const used = (await statsOf(client, 'stats')).get('bytes') ?? 0
    const slabs = [...(await statsOf(client, 'stats slabs'))]
    const inChunks = slabs
      .filter(([name]) => name.endsWith(':used_chunks'))
      .map(([name, count]) => count * (slabs.find(([other]) => other === name.replace('used_chunks', 'chunk_size'))?.[1] ?? 0))
      .reduce((sum, bytes) => sum + bytes, 0)
    const [perSession, perSessionInChunks] = [used / PEOPLE, inChunks / PEOPLE].map(Math.round)
    console.log(`bytes per session in memcached: ${perSession} used, ${perSessionInChunks} taken in chunks`)
    // docs/stores/memcached.md tells both.
    expect(perSession).toBeLessThan(700)
    expect(perSession).toBeGreaterThan(400)
  })
})

async function statsOf(client: { cmd<Answer>(line: string): Promise<Answer> }, line: string): Promise<Map<string, number>> {
  const { STAT } = await client.cmd<{ STAT: string[][] }>(line)
  return new Map(STAT.map(([name = '', value]) => [name, Number(value)]))
}
