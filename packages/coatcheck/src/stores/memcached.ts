import { checkedTimeLimit } from '../core/clock.ts'
import { randomText, sha256 } from '../core/crypto.ts'
import { CoatcheckError, isCoatcheckError } from '../core/errors.ts'
import type { SessionRecord } from '../core/record.ts'
import { EPOCH_KEPT_MS, type Marks, type SessionStore } from '../core/store.ts'
import {
  type Held,
  isUnreachable,
  linkOf,
  type MemcacheClient,
  type MemcachedLink,
  memcachedFailure,
} from './memcached/client.ts'
import {
  decodeGeneration,
  decodeIndex,
  decodeItem,
  decodePerson,
  type Entry,
  encodeIndex,
  encodeItem,
  encodePerson,
  expiryOf,
  type Item,
  type Person,
  TOMBSTONE,
} from './memcached/items.ts'
import { judgeReplace, mayBegin } from './rules.ts'
import { type Found, SharedReads } from './shared-reads.ts'

export type { MemcacheClient } from './memcached/client.ts'

export interface MemcachedStoreOptions {
  /** Before every key; `coatcheck:` unless given. At most 100 visible ASCII characters, without spaces. */
  readonly prefix?: string
  /** How long a command may take, in milliseconds; 2000 unless given. */
  readonly timeoutMs?: number
}

const MARK_BYTES = 8
/** Longer than a login that began under a person's epoch may take. */
const LOGIN_MS = EPOCH_KEPT_MS + 60_000
const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000
const MOST_FILED = 1000
const KEYS_PER_COMMAND = 40
/** Each try that fails is another's that landed. */
const MOST_TRIES = 100
const NEVER = 0
const AT_ONCE = -1

/**
 * Sessions in one memcached (tested with 1.6), over a client of `memcache-client`. For those who have nothing else.
 *
 * Memcached forgets: what it evicts is a session ended early, and a restart signs everybody out; never the other way
 * round. It lists nothing: there is no device list, no scan and no near cache.
 *
 * ```ts
 * const client = new MemcacheClient({ server: 'localhost:11211' })
 * const sessions = createSessions({ store: memcachedStore(client), secret })
 * ```
 *
 * @param client of one server, and never closed by the store
 * @throws CoatcheckError `BAD_OPTION` for a client or prefix that will not do
 */
export function memcachedStore(client: MemcacheClient, options: MemcachedStoreOptions = {}): SessionStore {
  const timeoutMs = checkedTimeLimit('memcachedStore', options.timeoutMs)
  return new MemcachedStore(linkOf(client, timeoutMs), checkedPrefix(options.prefix ?? 'coatcheck:'))
}

function checkedPrefix(prefix: string): string {
  if (typeof prefix === 'string' && /^[\x21-\x7e]{0,100}$/.test(prefix)) return prefix
  throw new CoatcheckError(
    'BAD_OPTION',
    'memcachedStore: prefix must be at most 100 visible ASCII characters without spaces: it stands in every key.',
  )
}

/** A session that lives, and what it lives by. */
interface Living {
  readonly item: Item
  readonly token: string
  readonly generation: string
  /** Of whom it is; undefined for a visitor's. */
  readonly owner: HeldPerson | undefined
}

interface HeldPerson {
  readonly person: Person
  readonly token: string
}

class MemcachedStore implements SessionStore {
  readonly name = 'memcached'
  readonly cannot = {
    listByUser: 'memcached finds a value by its key only, and forgets when it is full: no list of sessions would be whole',
    scan: 'memcached finds a value by its key only',
    watch: 'memcached tells nobody of changes',
  }

  readonly #link: MemcachedLink
  readonly #prefix: string
  readonly #reads: SharedReads<Living>

  constructor(link: MemcachedLink, prefix: string) {
    this.#link = link
    this.#prefix = prefix
    this.#reads = new SharedReads(ids => this.#livingOrAlone(ids))
  }

  read(id: string): Promise<SessionRecord | undefined> {
    return guarded('read', async () => (await this.#reads.read(id))?.item.record)
  }

  create(record: SessionRecord, forgetAt: number): Promise<'created' | 'taken' | 'refused'> {
    return guarded('create', async () => {
      // From here on a revocation changes what the record is tied to: it needs no second look.
      const epochs = await this.#begin(record)
      if (epochs === undefined) return 'refused'
      const text = encodeItem({ record, epochs, forgetAt })
      return (await this.#link.add(this.#key(record.id), text, expiryOf(forgetAt))) ? 'created' : 'taken'
    })
  }

  replace(record: SessionRecord, forgetAt: number): Promise<'saved' | 'conflict' | 'gone' | 'refused'> {
    return guarded('replace', () =>
      untilLanded(async () => {
        const living = await this.#living(record.id)
        return living === undefined ? 'gone' : this.#saveOver(living, record, forgetAt)
      }),
    )
  }

  /** Undefined if another's write came between. */
  async #saveOver(living: Living, record: SessionRecord, forgetAt: number): Promise<Saved | undefined> {
    const { item, token, generation } = living
    const renames = item.record.userId !== record.userId
    const userEpoch = renames && record.userId !== null ? visible((await this.#person(record.userId))?.person) : ''
    const judgement = judgeReplace(item.record, record, { generation, userEpoch })
    if (judgement === 'repeated') return 'saved'
    if (judgement !== 'write') return judgement
    const epochs = renames ? await this.#begin(record) : item.epochs
    if (epochs === undefined) return 'refused'
    if (!renames && !(await this.#outlives(living.owner, record))) return undefined
    const { userId } = record
    const isProlonged = !renames && record.expiresAt > item.record.expiresAt
    if (isProlonged && userId !== null) await untilLanded(() => this.#file(record, userId))
    const lastSeenAt = Math.max(item.record.lastSeenAt, record.lastSeenAt)
    const next = { record: { ...record, lastSeenAt }, epochs, forgetAt: Math.max(item.forgetAt, forgetAt) }
    return savedBy[await this.#write(record.id, next, token)]
  }

  touch(id: string, lastSeenAt: number, forgetAt: number): Promise<void> {
    return guarded('touch', async () => {
      await untilLanded(async () => {
        const held = await this.#held(this.#key(id))
        const item = held && decodeItem(id, held.value)
        if (held === undefined || item === undefined || item.record.lastSeenAt >= lastSeenAt) return 'nothing'
        const next = { ...item, record: { ...item.record, lastSeenAt }, forgetAt: Math.max(item.forgetAt, forgetAt) }
        return savedBy[await this.#write(id, next, held.token)]
      })
    })
  }

  delete(id: string, userId?: string): Promise<boolean> {
    return guarded('delete', async () => {
      if (userId !== undefined) return this.#deleteOf(userId, id)
      const living = await this.#living(id)
      // Whatever is written to it meanwhile: nothing of this id is left.
      return (await this.#link.delete(this.#key(id))) && living !== undefined
    })
  }

  /** Deletes by compare-and-set: between the look and the act it may have become another's. */
  async #deleteOf(userId: string, id: string): Promise<boolean> {
    const ended = await untilLanded(async () => {
      const living = await this.#living(id)
      if (living?.item.record.userId !== userId) return 'none'
      return endedBy[await this.#link.cas(this.#key(id), TOMBSTONE, AT_ONCE, living.token)]
    })
    return ended === 'ended'
  }

  listByUser(): Promise<never> {
    return refuse('listByUser', this.cannot.listByUser)
  }

  marks(userId: string | null): Promise<Marks> {
    return guarded('marks', async () => {
      const [generation, person] = await Promise.all([
        this.#generation(),
        userId === null ? undefined : this.#personFor(userId, Date.now() + LOGIN_MS),
      ])
      return { generation: generation ?? (await this.#firstGeneration()), userEpoch: visible(person) }
    })
  }

  revokeUser(userId: string, except?: string): Promise<readonly string[]> {
    return guarded('revokeUser', async () => {
      const previous = await untilLanded(() => this.#renew(userId, except))
      return previous === 'none' ? [] : this.#clearAway(userId, previous, except)
    })
  }

  /**
   * Sets a new epoch, gives the one before; undefined if another's write came between.
   *
   * What is spared is tied to the new epoch *beside* the old one first: at no moment is it dead, and a crash after this
   * first step has ended nothing and revived nothing, since nobody ever sets that epoch again.
   */
  async #renew(userId: string, except: string | undefined): Promise<string | undefined> {
    const owner = await this.#person(userId)
    const epoch = randomText(MARK_BYTES)
    const spared = except === undefined ? undefined : await this.#living(except)
    const isTheirs = owner !== undefined && spared?.item.record.userId === userId
    if (isTheirs) {
      const item = { ...spared.item, epochs: [owner.person.epoch, epoch] }
      if ((await this.#write(except as string, item, spared.token)) !== 'stored') return undefined
    }
    const until = Math.max(Date.now() + LOGIN_MS, isTheirs ? owner.person.until : 0)
    const landed = await this.#writePerson(userId, { epoch, revoked: true, until }, owner?.token)
    return landed ? (owner?.person.epoch ?? 'none') : undefined
  }

  /** The sessions are dead already; this finds their ids, and frees their memory. */
  async #clearAway(userId: string, epoch: string, except: string | undefined): Promise<readonly string[]> {
    const key = this.#userKey('i', userId)
    const filed = await this.#held(key)
    if (filed === undefined) return []
    const entries = decodeIndex(filed.value)
    const ids = await this.#endedAmong(
      entries.map(({ id }) => id).filter(id => id !== except),
      userId,
      epoch,
    )
    await Promise.all(ids.map(id => this.#link.delete(this.#key(id))))
    const ended = new Set(ids)
    // If another login is filed meanwhile, the dead stay on file: they are looked at before they are told.
    await this.#writeIndex(
      key,
      entries.filter(({ id }) => !ended.has(id)),
      filed,
    )
    return ids
  }

  async #endedAmong(ids: readonly string[], userId: string, epoch: string): Promise<readonly string[]> {
    const generation = await this.#generation()
    const values = await this.#heldAll(ids.map(id => this.#key(id)))
    return ids.filter(id => {
      const held = values.get(this.#key(id))
      const item = held && decodeItem(id, held.value)
      return item?.record.userId === userId && item.record.generation === generation && item.epochs.includes(epoch)
    })
  }

  revokeEveryone(except?: string): Promise<void> {
    return guarded('revokeEveryone', async () => {
      const next = randomText(MARK_BYTES)
      if (except === undefined) return this.#link.set(this.#generationKey, next, NEVER)
      const previous = await untilLanded(() => this.#regenerate(next))
      if (previous !== 'none') await untilLanded(() => this.#carryOver(except, previous, next))
    })
  }

  /** Sets a new generation, gives the one before. */
  async #regenerate(next: string): Promise<string | undefined> {
    const held = await this.#held(this.#generationKey)
    if (held === undefined) return (await this.#link.add(this.#generationKey, next, NEVER)) ? 'none' : undefined
    const landed = (await this.#link.cas(this.#generationKey, next, NEVER, held.token)) === 'stored'
    return landed ? held.value : undefined
  }

  /** Takes one record over, with every save that lands before. A crash before it leaves the record dead. */
  async #carryOver(id: string, previous: string, generation: string): Promise<string | undefined> {
    const held = await this.#held(this.#key(id))
    const item = held && decodeItem(id, held.value)
    if (held === undefined || item?.record.generation !== previous) return 'nothing'
    const record = { ...item.record, generation, version: item.record.version + 1 }
    return savedBy[await this.#write(id, { ...item, record }, held.token)]
  }

  scan(): Promise<never> {
    return refuse('scan', this.cannot.scan)
  }

  /** The session under this id, if its generation is the current one and its person's epoch is one of its own. */
  async #living(id: string): Promise<Living | undefined> {
    return (await this.#livingAmong([id]))(id)
  }

  async #livingAmong(ids: readonly string[]): Promise<Found<Living>> {
    const found = await this.#heldAll([...ids.map(id => this.#key(id)), this.#generationKey])
    const generation = generationOf(found.get(this.#generationKey))
    const seen = new Map(ids.map(id => [id, outcomeOf(() => this.#ofGeneration(generation, id, found))]))
    // Only now, after the records: an epoch that was read before them might be older than its end.
    const owners = await this.#heldAll([...new Set([...seen.values()].flatMap(({ value }) => this.#ownerKeys(value)))])
    return id => {
      const { value, error } = seen.get(id) ?? {}
      if (error !== undefined) throw error
      if (value === undefined || value.item.record.userId === null) return value
      const owner = personIn(owners.get(this.#userKey('u', value.item.record.userId)))
      return owner && value.item.epochs.includes(owner.person.epoch) ? { ...value, owner } : undefined
    }
  }

  /** Whose owner is still to be looked at. */
  #ofGeneration(generation: string | undefined, id: string, found: ReadonlyMap<string, Held>): Living | undefined {
    const held = found.get(this.#key(id))
    if (held === undefined) return undefined
    const item = decodeItem(id, held.value)
    const isCurrent = generation !== undefined && item.record.generation === generation
    return isCurrent ? { item, token: held.token, generation, owner: undefined } : undefined
  }

  #ownerKeys(living: Living | undefined): readonly string[] {
    const userId = living?.item.record.userId ?? null
    return userId === null ? [] : [this.#userKey('u', userId)]
  }

  /**
   * Of a command with one value that another application has packed the client gives nothing at all: then each id goes
   * alone, and fails alone.
   */
  async #livingOrAlone(ids: readonly string[]): Promise<Found<Living>> {
    try {
      return await this.#livingAmong(ids)
    } catch (error) {
      if (ids.length === 1 || isUnreachable(error)) throw error
      // If it is this, it is everybody's.
      await this.#generation()
      const alone = new Map(ids.map(id => [id, this.#living(id)]))
      await Promise.allSettled(alone.values())
      return id => alone.get(id)
    }
  }

  /**
   * The epochs that a record is to live by; undefined if it may not begin. Its person is made to be remembered for as
   * long as it may live, and it is filed.
   *
   * A person who is missing here was evicted since the login looked (`marks` makes one): then nobody knows what was revoked.
   */
  async #begin(record: SessionRecord): Promise<readonly string[] | undefined> {
    const { userId } = record
    const generation = (await this.#generation()) ?? ''
    if (userId === null) return mayBegin(record, { generation, userEpoch: '' }) ? [] : undefined
    const outcome = await untilLanded(async () => {
      const owner = await this.#person(userId)
      if (owner === undefined || !mayBegin(record, { generation, userEpoch: visible(owner.person) })) return 'refused'
      return (await this.#outlives(owner, record)) ? owner.person : undefined
    })
    if (outcome === 'refused') return undefined
    await untilLanded(() => this.#file(record, userId))
    return [outcome.epoch]
  }

  /** True if the record's owner is remembered for longer than it may live; false if another's write came between. */
  async #outlives(owner: HeldPerson | undefined, { userId, expiresAt }: SessionRecord): Promise<boolean> {
    if (owner === undefined || userId === null || owner.person.until >= expiresAt + HOUR_MS) return true
    // More than is needed, so that not every login writes it.
    return this.#writePerson(userId, { ...owner.person, until: expiresAt + DAY_MS }, owner.token)
  }

  /** The person as they are, or a new one, remembered until then at least. */
  #personFor(userId: string, until: number): Promise<Person> {
    return untilLanded(async () => {
      const owner = await this.#person(userId)
      if (owner !== undefined && owner.person.until >= until) return owner.person
      const { epoch, revoked } = owner?.person ?? { epoch: randomText(MARK_BYTES), revoked: false }
      const person = { epoch, revoked, until: until + LOGIN_MS }
      return (await this.#writePerson(userId, person, owner?.token)) ? person : undefined
    })
  }

  async #person(userId: string): Promise<HeldPerson | undefined> {
    return personIn(await this.#held(this.#userKey('u', userId)))
  }

  /** Without a token: only where there is none. */
  async #writePerson(userId: string, person: Person, token: string | undefined): Promise<boolean> {
    const key = this.#userKey('u', userId)
    const [text, expiry] = [encodePerson(person), expiryOf(person.until)]
    if (token === undefined) return this.#link.add(key, text, expiry)
    return (await this.#link.cas(key, text, expiry, token)) === 'stored'
  }

  /** Before the record is there: one that lives is on file, unless the index was evicted. */
  async #file({ id, expiresAt }: SessionRecord, userId: string): Promise<true | undefined> {
    const key = this.#userKey('i', userId)
    const filed = await this.#held(key)
    const others = filed ? decodeIndex(filed.value).filter(entry => entry.id !== id && entry.endsAt > Date.now()) : []
    const entries = [...others.slice(1 - MOST_FILED), { id, endsAt: expiresAt + HOUR_MS }]
    return (await this.#writeIndex(key, entries, filed)) ? true : undefined
  }

  async #writeIndex(key: string, entries: readonly Entry[], filed: Held | undefined): Promise<boolean> {
    const [text, expiry] = [encodeIndex(entries), expiryOf(Math.max(0, ...entries.map(({ endsAt }) => endsAt)))]
    if (filed === undefined) return this.#link.add(key, text, expiry)
    return (await this.#link.cas(key, text, expiry, filed.token)) === 'stored'
  }

  #write(id: string, item: Item, token: string): Promise<keyof typeof savedBy> {
    return this.#link.cas(this.#key(id), encodeItem(item), expiryOf(item.forgetAt), token)
  }

  async #generation(): Promise<string | undefined> {
    return generationOf(await this.#held(this.#generationKey))
  }

  async #firstGeneration(): Promise<string> {
    await this.#link.add(this.#generationKey, randomText(MARK_BYTES), NEVER)
    return (await this.#generation()) ?? ''
  }

  async #held(key: string): Promise<Held | undefined> {
    return (await this.#link.gets([key])).get(key)
  }

  async #heldAll(keys: readonly string[]): Promise<ReadonlyMap<string, Held>> {
    const found = await Promise.all(batches(keys).map(some => this.#link.gets(some)))
    return new Map(found.flatMap(some => [...some]))
  }

  /** Ids of ours are short and plain; others are not let into a key. */
  #key(id: string): string {
    return `${this.#prefix}s:${/^[\w-]{1,64}$/.test(id) ? id : `~${sha256(id)}`}`
  }

  /** A person's id is the application's, with any bytes. */
  #userKey(kind: 'u' | 'i', userId: string): string {
    return `${this.#prefix}${kind}:${sha256(userId).slice(0, 22)}`
  }

  get #generationKey(): string {
    return `${this.#prefix}generation`
  }
}

type Saved = 'saved' | 'conflict' | 'gone' | 'refused'

/** What a compare-and-set came to; undefined: another's write came between, look again. */
const savedBy = { stored: 'saved', missing: 'gone', exists: undefined } as const
const endedBy = { stored: 'ended', missing: 'none', exists: undefined } as const

/** Repeats what undefined came of, with what is there then. */
async function untilLanded<Outcome>(attempt: () => Promise<Outcome | undefined>): Promise<Outcome> {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const outcome = await attempt()
    if (outcome !== undefined) return outcome
  }
  throw new CoatcheckError(
    'STORE_UNAVAILABLE',
    `Memcached: others wrote the same key ${MOST_TRIES} times meanwhile. Try again.`,
    {
      retryAfter: 1,
    },
  )
}

/** What a login has to find unchanged: nothing until a first revocation. */
function visible(person: Person | undefined): string {
  return person?.revoked ? person.epoch : ''
}

function personIn(held: Held | undefined): HeldPerson | undefined {
  return held && { person: decodePerson(held.value), token: held.token }
}

function generationOf(held: Held | undefined): string | undefined {
  return held && decodeGeneration(held.value)
}

function batches(keys: readonly string[]): readonly (readonly string[])[] {
  const count = Math.ceil(keys.length / KEYS_PER_COMMAND)
  return Array.from({ length: count }, (_, i) => keys.slice(i * KEYS_PER_COMMAND, (i + 1) * KEYS_PER_COMMAND))
}

/** What it gives, or what it throws. */
function outcomeOf<Value>(get: () => Value): { readonly value?: Value; readonly error?: unknown } {
  try {
    return { value: get() }
  } catch (error) {
    return { error }
  }
}

async function refuse(what: string, reason: string): Promise<never> {
  throw new CoatcheckError('NOT_SUPPORTED', `The memcached store cannot do ${what}: ${reason}.`)
}

async function guarded<Result>(operation: string, act: () => Promise<Result>): Promise<Result> {
  try {
    return await act()
  } catch (error) {
    throw isCoatcheckError(error) ? error : memcachedFailure(operation, error)
  }
}
