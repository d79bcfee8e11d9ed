import { describe, expect, test } from 'vitest'
import { CoatcheckError } from '../../src/core/errors.ts'
import type { SessionRecord } from '../../src/core/record.ts'
import type { SessionStore } from '../../src/core/store.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { storeLaws } from '../../src/testing/index.ts'
import { nextVersion } from '../../src/testing/records.ts'

const noPlant = 'nobody else can write into its map'

/** A memory store with one thing wrong. */
type Flaw = (sound: SessionStore) => Partial<SessionStore>

const FLAWS: Readonly<Record<string, Flaw>> = {
  'create overwrites': sound => ({
    async create(record, forgetAt) {
      await sound.delete(record.id)
      return sound.create(record, forgetAt)
    },
  }),
  'create asks for no epoch': sound => ({
    create: async (record, forgetAt) => sound.create({ ...record, ...(await epochOf(sound, record)) }, forgetAt),
  }),
  'create asks for no generation': sound => ({
    create: async (record, forgetAt) => sound.create({ ...record, generation: (await sound.marks(null)).generation }, forgetAt),
  }),
  'replace is an upsert': sound => ({
    async replace(record, forgetAt) {
      const answer = await sound.replace(record, forgetAt)
      if (answer !== 'gone') return answer
      await sound.create({ ...record, ...(await sound.marks(record.userId)) }, forgetAt)
      return 'saved'
    },
  }),
  'replace ignores the version': sound => ({
    async replace(record, forgetAt) {
      const stored = await sound.read(record.id)
      return sound.replace({ ...record, version: (stored?.version ?? 0) + 1 }, forgetAt)
    },
  }),
  'replace knows no repetition': sound => ({
    async replace(record, forgetAt) {
      const stored = await sound.read(record.id)
      return stored?.version === record.version ? 'conflict' : sound.replace(record, forgetAt)
    },
  }),
  'replace takes any write of the stored version for a repetition': sound => ({
    async replace(record, forgetAt) {
      const stored = await sound.read(record.id)
      return stored?.version === record.version ? 'saved' : sound.replace(record, forgetAt)
    },
  }),
  'replace asks for no epoch when the person changes': sound => ({
    replace: async (record, forgetAt) => sound.replace({ ...record, ...(await epochOf(sound, record)) }, forgetAt),
  }),
  'replace asks for an epoch when the person stays': sound => ({
    async replace(record, forgetAt) {
      const marks = await sound.marks(record.userId)
      return record.userId !== null && record.userEpoch !== marks.userEpoch ? 'refused' : sound.replace(record, forgetAt)
    },
  }),
  'replace reads, then writes': sound => ({
    async replace(record, forgetAt) {
      const stored = await sound.read(record.id)
      await new Promise(resolve => setImmediate(resolve))
      if (stored?.version !== record.version - 1) return sound.replace(record, forgetAt)
      return sound.replace({ ...record, version: ((await sound.read(record.id))?.version ?? 0) + 1 }, forgetAt)
    },
  }),
  'replace lowers lastSeenAt': sound => ({
    async replace(record, forgetAt) {
      const answer = await sound.replace(record, forgetAt)
      if (answer === 'saved') await rewrite(sound, record, forgetAt)
      return answer
    },
  }),
  'replace forgets the rest of the record': sound => ({
    replace: (record, forgetAt) => sound.replace({ ...record, ip: '192.0.2.7', userAgent: null }, forgetAt),
  }),
  'touch lowers lastSeenAt': sound => ({
    async touch(id, lastSeenAt, forgetAt) {
      const stored = await sound.read(id)
      if (stored) await rewrite(sound, { ...stored, lastSeenAt }, forgetAt)
    },
  }),
  'touch raises the version': sound => ({
    async touch(id, lastSeenAt, forgetAt) {
      const stored = await sound.read(id)
      if (stored) await sound.replace(nextVersion(stored, { lastSeenAt }), forgetAt)
    },
  }),
  'touch does nothing': () => ({ async touch() {} }),
  'delete looks at no person': sound => ({ delete: id => sound.delete(id) }),
  'delete says yes to what is missing': sound => ({
    async delete(id, userId) {
      return (await sound.delete(id, userId)) || (await sound.read(id)) === undefined
    },
  }),
  'delete is forgotten': sound => ({ delete: async id => (await sound.read(id)) !== undefined }),
  'listByUser is unordered': sound => ({
    listByUser: async (userId, limit) => (await sound.listByUser(userId, limit)).toReversed(),
  }),
  'listByUser knows no limit': sound => ({ listByUser: userId => sound.listByUser(userId, 1000) }),
  'listByUser takes the oldest': sound => ({
    listByUser: async (userId, limit) => (await sound.listByUser(userId, 1000)).slice(-limit),
  }),
  'people are told apart without case': sound => ({
    listByUser: (userId, limit) => sound.listByUser(userId.toLowerCase(), limit),
  }),
  'people are trimmed': sound => ({
    create: (record, forgetAt) => sound.create({ ...record, userId: record.userId?.trim() ?? null }, forgetAt),
  }),
  'the person may be of 64 characters': sound => ({
    create: (record, forgetAt) => sound.create({ ...record, userId: record.userId?.slice(0, 64) ?? null }, forgetAt),
  }),
  'data is cut at 64 KiB': sound => ({
    create: (record, forgetAt) => sound.create({ ...record, data: record.data.slice(0, 65_536) }, forgetAt),
  }),
  'data is not letter by letter': sound => ({
    create: (record, forgetAt) => sound.create({ ...record, data: JSON.stringify(JSON.parse(record.data)) }, forgetAt),
  }),
  'revokeUser sets no epoch': sound => ({
    async revokeUser(userId, except) {
      const records = (await sound.listByUser(userId, 1000)).filter(record => record.id !== except)
      for (const { id } of records) await sound.delete(id)
      return records.map(record => record.id)
    },
  }),
  'revokeUser ends first and sets the epoch later': sound => ({
    async revokeUser(userId, except) {
      const records = (await sound.listByUser(userId, 1000)).filter(record => record.id !== except)
      for (const { id } of records) await sound.delete(id)
      await new Promise(resolve => setImmediate(resolve))
      const late = (await sound.listByUser(userId, 1000)).map(record => record.id)
      // What landed between is spared, and the epoch set without ending anything.
      await sound.revokeUser(userId, late[0])
      return records.map(record => record.id)
    },
  }),
  'revokeUser spares nobody': sound => ({ revokeUser: userId => sound.revokeUser(userId) }),
  'revokeUser gives no ids': sound => ({
    async revokeUser(userId, except) {
      await sound.revokeUser(userId, except)
      return []
    },
  }),
  'revokeUser counts the spared one as ended': sound => ({
    async revokeUser(userId, except) {
      return [...(await sound.revokeUser(userId, except)), ...(except === undefined ? [] : [except])]
    },
  }),
  'revokeEveryone ends only one person': sound => ({
    async revokeEveryone() {
      await sound.revokeUser('alice')
    },
  }),
  'revokeEveryone spares nobody': sound => ({ revokeEveryone: () => sound.revokeEveryone() }),
  'revokeEveryone carries over without raising the version': sound => ({
    async revokeEveryone(except) {
      const kept = except === undefined ? undefined : await sound.read(except)
      await sound.revokeEveryone()
      if (kept) await sound.create({ ...kept, ...(await sound.marks(kept.userId)), userEpoch: kept.userEpoch }, Date.now() + 1e6)
    },
  }),
  'scan never ends': sound => ({ scan: async (after, limit) => ({ ...(await sound.scan(after, limit)), next: after ?? '0' }) }),
  'scan misses the last of a page': sound => ({
    async scan(after, limit) {
      const { records, next } = await sound.scan(after, limit)
      return { records: next === null ? records : records.slice(0, -1), next }
    },
  }),
  'scan counts places and not records': sound => ({
    async scan(after, limit) {
      const start = Number(after ?? 0)
      const all = (await sound.scan(null, 10_000)).records
      return { records: all.slice(start, start + limit), next: start + limit < all.length ? String(start + limit) : null }
    },
  }),
  'prune throws away the living': sound => ({
    prune: (_before, limit) => sound.prune?.(Date.now() + 1e9, limit) ?? Promise.resolve(0),
  }),
  'prune knows no limit': sound => ({ prune: before => sound.prune?.(before, 1e9) ?? Promise.resolve(0) }),
  'the marks change from call to call': sound => ({
    marks: async userId => ({ ...(await sound.marks(userId)), generation: String(Math.random()) }),
  }),
  'one epoch for everybody': sound => ({
    async marks(userId) {
      const marks = await sound.marks(userId)
      return { ...marks, userEpoch: marks.userEpoch || (await sound.marks('alice')).userEpoch }
    },
  }),
  'no watch, and nobody said why': () => ({ cannot: {} }),
  'a method that cannot be gives an empty answer': () => ({
    cannot: { listByUser: 'it has no index of people', watch: 'it tells nobody' },
    listByUser: async () => [],
  }),
}

/** The epoch that the store wants, whatever the record says. */
async function epochOf(store: SessionStore, record: SessionRecord): Promise<Pick<SessionRecord, 'userEpoch'>> {
  return { userEpoch: (await store.marks(record.userId)).userEpoch }
}

/** Writes the record as it stands, past the rules. */
async function rewrite(store: SessionStore, record: SessionRecord, forgetAt: number): Promise<void> {
  await store.delete(record.id)
  await store.create({ ...record, ...(await epochOf(store, record)) }, forgetAt)
}

interface Opened {
  readonly store: SessionStore
  readonly second: SessionStore
}

/** The first law that a store breaks, the laws being run one after another; undefined if it keeps them all. */
async function firstBroken(open: () => Opened): Promise<string | undefined> {
  const space = () => {
    const { store, second } = open()
    return { store, second: () => second, close() {} }
  }
  for (const law of storeLaws({ open: space, noPlant })) {
    const broken = await law.run().then(
      () => false,
      () => true,
    )
    if (broken) return law.name
  }
}

/** One store that is a process of its own, in which everything goes through the flaw. */
function flawed(flaw: Flaw) {
  const sound = memoryStore()
  const store = { ...sound, ...flaw(sound) }
  return { store, second: store }
}

/** A second connection that gives again what it once read. */
function staleSecond() {
  const store = memoryStore()
  const kept = new Map<string, SessionRecord>()
  const read = async (id: string) => {
    const record = kept.get(id) ?? (await store.read(id))
    if (record) kept.set(id, record)
    return record
  }
  return { store, second: { ...store, read } }
}

function withoutPrune() {
  const { prune, ...store } = memoryStore()
  return { store, second: store }
}

describe('the store laws', () => {
  test.each(Object.entries(FLAWS))('find out a store whose flaw is: %s', async (_, flaw) => {
    expect(await firstBroken(() => flawed(flaw))).toBeDefined()
  })

  test('find out a connection that keeps what it read although another one has changed it', async () => {
    expect(await firstBroken(staleSecond)).toBeDefined()
  })

  test('find out that there is no prune, although nobody said why', async () => {
    expect(await firstBroken(withoutPrune)).toMatch(/prune/)
  })

  test('find nothing wrong with a sound store', async () => {
    expect(await firstBroken(() => flawed(() => ({})))).toBeUndefined()
  })
})

describe('a list of laws', () => {
  const open = () => {
    const store = memoryStore()
    return { store, second: () => store, close() {} }
  }

  test('has names that are used once', () => {
    const names = storeLaws({ open, noPlant }).map(law => law.name)
    expect(new Set(names).size).toBe(names.length)
  })

  test('says in its name why a law does not run', () => {
    const [first] = storeLaws({ open, noPlant })
    const skip = [{ name: first?.name ?? '', reason: 'the server is older than the feature' }]
    const [skipped, second] = storeLaws({ open, noPlant, skip })
    expect(skipped?.name).toBe(`${first?.name} (NOT RUN: the server is older than the feature)`)
    expect(skipped?.skipped).toBe('the server is older than the feature')
    expect(second?.skipped).toBeUndefined()
  })

  test('refuses a skip of a law that is none', () => {
    expect(() => storeLaws({ open, noPlant, skip: [{ name: 'no such law', reason: 'x' }] })).toThrow(/no such law/)
  })

  test('takes a refusal for what a store says it cannot do', async () => {
    const refuse = async () => {
      throw new CoatcheckError('NOT_SUPPORTED', 'this store keeps no list')
    }
    const laws = storeLaws({
      noPlant,
      open() {
        const cannot = { listByUser: 'there is no index of people', scan: 'keys cannot be listed', watch: 'nobody is told' }
        const store: SessionStore = { ...memoryStore(), cannot, listByUser: refuse, scan: refuse }
        return { store, second: () => store, close() {} }
      },
    })
    for (const law of laws.filter(law => /list|scan|cannot/.test(law.name))) await law.run()
  })

  test('closes the space of a law that failed', async () => {
    let closed = 0
    const laws = storeLaws({
      noPlant,
      open: () => ({ store: { ...memoryStore(), name: '' }, second: () => memoryStore(), close: () => void closed++ }),
    })
    await Promise.allSettled(laws.map(law => law.run()))
    expect(closed).toBe(laws.length)
  })
})
