import { checkedTimeLimit } from '../core/clock.ts'
import { randomText } from '../core/crypto.ts'
import { CoatcheckError, isCoatcheckError } from '../core/errors.ts'
import type { SessionRecord } from '../core/record.ts'
import { EPOCH_KEPT_MS, type Marks, type ScanPage, type SessionStore, type Watch } from '../core/store.ts'
import {
  isOutOfMemory,
  isReadOnly,
  linkOf,
  type RedisClient,
  type RedisLink,
  type Run,
  redisFailure,
  refusedWhole,
  Script,
} from './redis/client.ts'
import { Confirmation, type Wanted } from './redis/confirmation.ts'
import { FirstContact } from './redis/first-contact.ts'
import { decodeRecord, encodeRecord, encodeSeenAt, isMark, MARK_BYTES } from './redis/record.ts'
import * as scripts from './redis/scripts.ts'
import { topologyOf } from './redis/topology.ts'
import { decodeIndex, encodeHour, encodeId, hourOf, placeOf, type UserIndex } from './redis/user-index.ts'
import { watchMasters } from './redis/watch.ts'
import { type Found, SharedReads } from './shared-reads.ts'

export type {
  IoredisClient,
  IoredisCluster,
  NodeRedisClient,
  NodeRedisCluster,
  NodeRedisSentinel,
  RedisClient,
} from './redis/client.ts'

export interface RedisStoreOptions {
  /** Before every key; `cc:` unless given, since every session pays for it twice. Without braces, which would put all sessions on one node of a Cluster. */
  readonly prefix?: string
  /** How long a command may take, in milliseconds; 2000 unless given. A client alone may wait for a lost server forever. */
  readonly timeoutMs?: number
  /**
   * Replicas that must have a revocation before it resolves, and how long to wait for them, in milliseconds (`WAIT`).
   * Narrows, and does not close, the gap in which a failover to a replica that lags brings a session back.
   */
  readonly confirmRevocations?: Wanted
}

/** Longer than core may compare with it. */
const EPOCH_TTL_MS = EPOCH_KEPT_MS + 60_000
/** A file entry outlives its record by this much, so that no clock drops a living session from its person's list. */
const FILE_SLACK_MS = 3_600_000
/** No epoch is held against it any more. */
const HAS_BEGUN = '*'
const MOST_FILED = 1000
const MOST_SCANS_A_PAGE = 100
/** The number of a master, and its own cursor. */
const PAGE = /^(\d{1,4}):(\d{1,20})$/

const replaceScript = new Script(scripts.REPLACE)
const touchScript = new Script(scripts.TOUCH)
const deleteScript = new Script(scripts.DELETE)
const fileScript = new Script(scripts.FILE)
const unfileScript = new Script(scripts.UNFILE)
const revokeScript = new Script(scripts.REVOKE)
const carryOverScript = new Script(scripts.CARRY_OVER)

/**
 * Sessions in Redis or Valkey (6.2 and later): one server, Sentinel or a Cluster, with a client of `redis` or `ioredis`.
 *
 * One string per session. A strict read is one command; a save or a touch one script. A login writes the record, then
 * files it under its person in another slot: a crash between the two leaves a session whose token nobody was given.
 *
 * ```ts
 * const client = await createClient({ url: process.env.REDIS_URL }).connect()
 * const sessions = createSessions({ store: redisStore(client), secret })
 * ```
 *
 * @param client connected, and never closed by the store
 * @throws CoatcheckError `BAD_OPTION` for a client or prefix that will not do
 */
export function redisStore(client: RedisClient, options: RedisStoreOptions = {}): SessionStore {
  const timeoutMs = checkedTimeLimit('redisStore', options.timeoutMs)
  const wait = options.confirmRevocations?.timeoutMs ?? 0
  if (wait >= timeoutMs)
    throw new CoatcheckError('BAD_OPTION', 'redisStore: confirmRevocations.timeoutMs must be below timeoutMs.')
  return new RedisStore(linkOf(client, timeoutMs), checkedPrefix(options.prefix ?? 'cc:'), timeoutMs, options.confirmRevocations)
}

function checkedPrefix(prefix: string): string {
  if (typeof prefix === 'string' && !/[{}\0]/.test(prefix) && prefix.length <= 100) return prefix
  throw new CoatcheckError(
    'BAD_OPTION',
    'redisStore: prefix must be text of at most 100 characters without braces (a Cluster would put every key into one slot).',
  )
}

class RedisStore implements SessionStore {
  readonly name = 'redis'
  readonly #link: RedisLink
  readonly #prefix: string
  readonly #timeoutMs: number
  readonly #confirmation: Confirmation | undefined
  readonly #contact: FirstContact
  readonly #reads: SharedReads<SessionRecord>
  readonly cannot: { readonly watch?: string }

  constructor(link: RedisLink, prefix: string, timeoutMs: number, wanted: Wanted | undefined) {
    this.#link = link
    this.#prefix = prefix
    this.#timeoutMs = timeoutMs
    this.#confirmation = wanted && new Confirmation(link, wanted)
    this.#contact = new FirstContact(link, prefix)
    this.#reads = new SharedReads(ids => this.#readAll(ids))
    this.cannot = typeof link.trackers === 'string' ? { watch: link.trackers } : {}
  }

  read(id: string): Promise<SessionRecord | undefined> {
    return this.#guarded('read', () => this.#reads.read(id))
  }

  create(record: SessionRecord, forgetAt: number): Promise<'created' | 'taken' | 'refused'> {
    return this.#guarded('create', async () => {
      if (!isMark(record.generation)) return 'refused'
      const key = this.#key(record.id)
      const set = await this.#link.run(key, ['SET', key, encodeRecord(record), 'NX', 'PXAT', String(forgetAt)])
      if (set === null) return 'taken'
      return (await this.#begin(record)) ? 'created' : 'refused'
    })
  }

  replace(record: SessionRecord, forgetAt: number): Promise<'saved' | 'conflict' | 'gone' | 'refused'> {
    return this.#guarded('replace', async () => {
      const outcome = await this.#compareAndSet(record, forgetAt, false)
      if (outcome === 'prolonged' || (outcome === 'repeated' && (await this.#isFiled(record)))) return this.#fileAgain(record)
      // Its first try may have died between the record and the file.
      if (outcome === 'repeated') return (await this.#begin(record)) ? 'saved' : 'refused'
      if (outcome !== 'renames') return outcome
      if (!(await this.#mayBegin(record))) return 'refused'
      const renamed = await this.#compareAndSet(record, forgetAt, true)
      if (renamed === 'renames') return 'conflict'
      if (renamed === 'conflict' || renamed === 'gone') return renamed
      return (await this.#begin(record)) ? 'saved' : 'refused'
    })
  }

  async #compareAndSet(record: SessionRecord, forgetAt: number, rename: boolean): Promise<Outcome> {
    const args = [encodeRecord(record), String(forgetAt), rename ? '1' : '0']
    const key = this.#key(record.id)
    const run = async (keys: [string, ...string[]], more: readonly string[] = []) =>
      outcomeOf(await refusedWhole('replace', replaceScript.run(this.#link, keys, [...args, ...more])))
    if (!this.#link.isCluster) return run([key, this.#generationKey])
    // Before the record, and not beside it: a save that lands between a new generation and the carrying over of its session
    // would be told that it is gone, and be carried over all the same.
    const generation = (await this.#generation()) ?? ''
    return run([key], [generation])
  }

  touch(id: string, lastSeenAt: number, forgetAt: number): Promise<void> {
    return this.#guarded('touch', async () => {
      await touchScript.run(this.#link, [this.#key(id)], [encodeSeenAt(lastSeenAt), String(forgetAt)])
    })
  }

  delete(id: string, userId?: string): Promise<boolean> {
    return this.#guarded('delete', async () => {
      // In a record '' stands for nobody.
      if (userId === '') return false
      const args = userId === undefined ? ['0', ''] : ['1', userId]
      const [answer, generation] = await Promise.all([deleteScript.run(this.#link, [this.#key(id)], args), this.#generation()])
      const [owner] = textsOf(answer)
      if (owner) await this.#unfile(owner, [id])
      await this.#confirmation?.of([this.#key(id)])
      return wasAlive(answer, generation)
    })
  }

  listByUser(userId: string, limit: number): Promise<readonly SessionRecord[]> {
    return this.#guarded('listByUser', async () => {
      const ids = (await this.#index(userId)).ids.slice(-MOST_FILED)
      const { generation, values } = await this.#values(ids)
      // What has expired is noticed here. Not what is only of another generation: it may be on its way into this one.
      await this.#unfile(
        userId,
        ids.filter((_id, i) => values[i] === undefined),
      )
      const records = ids.map((id, i) => aliveRecord(id, values[i], generation))
      const own = records.filter(record => record?.userId === userId) as SessionRecord[]
      return own.sort((a, b) => b.createdAt - a.createdAt).slice(0, limit)
    })
  }

  marks(userId: string | null): Promise<Marks> {
    return this.#guarded('marks', async () => {
      const [generation, userEpoch] = await Promise.all([this.#generation(), userId === null ? '' : this.#epoch(userId)])
      return { generation: generation ?? (await this.#firstGeneration()), userEpoch }
    })
  }

  revokeUser(userId: string, except?: string): Promise<readonly string[]> {
    return this.#guarded('revokeUser', async () => {
      const { key, person } = this.#place(userId)
      const filed = await revokeScript.run(this.#link, [key], [person, randomText(MARK_BYTES), String(EPOCH_TTL_MS)])
      const generation = await this.#generation()
      const ids = decodeIndex(bytesOrNothing(filed)).ids.filter(id => id !== except)
      const deleted = await Promise.all(ids.map(id => deleteScript.run(this.#link, [this.#key(id)], ['1', userId])))
      // Only now: a crash half-way leaves them on file, for the next try to finish.
      await this.#unfile(userId, ids)
      await this.#confirmation?.of([key, ...ids.map(id => this.#key(id))])
      return ids.filter((_id, i) => wasAlive(deleted[i], generation))
    })
  }

  revokeEveryone(except?: string): Promise<void> {
    return this.#guarded('revokeEveryone', async () => {
      const next = randomText(MARK_BYTES)
      const key = this.#generationKey
      const spared = except === undefined ? undefined : this.#key(except)
      if (spared !== undefined && !this.#link.isCluster) await carryOverScript.run(this.#link, [spared, key], [next])
      else {
        const previous = await this.#link.run(key, ['SET', key, next, 'GET'])
        if (spared !== undefined && previous !== null) await carryOverScript.run(this.#link, [spared], [next, text(previous)])
      }
      await this.#confirmation?.of([key])
    })
  }

  scan(after: string | null, limit: number): Promise<ScanPage> {
    return this.#guarded('scan', async () => {
      const [, node, cursor] = PAGE.exec(after ?? '0:0') ?? []
      if (node === undefined || cursor === undefined) return { records: [], next: null }
      const masters = await this.#link.masters()
      const master = masters[Number(node)]
      if (master === undefined) return { records: [], next: null }
      const { following, keys } = await this.#scanFor(master, cursor, limit)
      const ids = keys.map(key => key.slice(this.#prefix.length + 2))
      const records = (await this.#records(ids)).filter(record => record !== undefined)
      return { records, next: nextPage(Number(node), following, masters.length) }
    })
  }

  /** Goes on past other applications' keys, for so many rounds, until some of ours are found. */
  async #scanFor(master: Run, cursor: string, limit: number): Promise<{ following: string; keys: readonly string[] }> {
    const match = ['MATCH', `${escapeGlob(this.#prefix)}s:*`, 'COUNT', String(limit)]
    let [following, keys]: [string, readonly string[]] = [cursor, []]
    for (let round = 0; round < MOST_SCANS_A_PAGE; round++) {
      const [next, found] = (await master(['SCAN', following, ...match])) as [unknown, unknown]
      following = text(next)
      keys = textsOf(found)
      if (keys.length > 0 || following === '0') break
    }
    return { following, keys }
  }

  watch(changed: (id: string | null) => void): Promise<Watch> {
    return this.#guarded('watch', async () => {
      const { trackers, isCluster } = this.#link
      if (typeof trackers === 'string')
        throw new CoatcheckError('NOT_SUPPORTED', `The redis store has no watch here: ${trackers}.`)
      const settings = { prefix: this.#prefix, timeoutMs: this.#timeoutMs }
      return watchMasters(await trackers(), settings, changed, isCluster ? topologyOf : undefined)
    })
  }

  #key(id: string): string {
    return `${this.#prefix}s:${id}`
  }

  get #generationKey(): string {
    return `${this.#prefix}generation`
  }

  #place(userId: string): { readonly key: string; readonly person: Buffer } {
    const { bucket, person } = placeOf(userId)
    return { key: `${this.#prefix}u:${bucket}`, person }
  }

  async #generation(): Promise<string | undefined> {
    return textOrNothing(await this.#link.run(this.#generationKey, ['GET', this.#generationKey]))
  }

  async #firstGeneration(): Promise<string> {
    await this.#link.run(this.#generationKey, ['SET', this.#generationKey, randomText(MARK_BYTES), 'NX'])
    return (await this.#generation()) ?? ''
  }

  async #epoch(userId: string): Promise<string> {
    return (await this.#index(userId)).epoch
  }

  async #index(userId: string): Promise<UserIndex> {
    const { key, person } = this.#place(userId)
    return decodeIndex(bytesOrNothing(await this.#link.run(key, ['HGET', key, person])))
  }

  /** One command on one server, where what is wrong with one record is not the others' business. */
  async #readAll(ids: readonly string[]): Promise<Found<SessionRecord>> {
    if (this.#link.isCluster) return this.#readAllOfCluster(ids)
    const { generation, values } = await this.#values(ids)
    const byId = new Map(ids.map((id, i) => [id, values[i]]))
    return id => aliveRecord(id, byId.get(id), generation)
  }

  /** The generation once for all; each record from its own node, whose failure is not the others' either. */
  async #readAllOfCluster(ids: readonly string[]): Promise<Found<SessionRecord>> {
    const byId = new Map(ids.map(id => [id, this.#link.run(this.#key(id), ['GET', this.#key(id)])]))
    // Without the generation nobody asks for these.
    for (const value of byId.values()) value.catch(() => {})
    const generation = await this.#generation()
    return async id => aliveRecord(id, bytesOrNothing(await byId.get(id)), generation)
  }

  /** The living records of these ids, each at its place. */
  async #records(ids: readonly string[]): Promise<readonly (SessionRecord | undefined)[]> {
    const { generation, values } = await this.#values(ids)
    return ids.map((id, i) => aliveRecord(id, values[i], generation))
  }

  /** What is stored under these ids, and the generation. One command on one server; on a Cluster one to each node. */
  async #values(ids: readonly string[]): Promise<Values> {
    if (ids.length === 0) return { generation: undefined, values: [] }
    const [generation, ...values] = await this.#getAll([this.#generationKey, ...ids.map(id => this.#key(id))])
    return { generation: textOrNothing(generation), values: values.map(bytesOrNothing) }
  }

  async #getAll(keys: readonly string[]): Promise<readonly unknown[]> {
    if (this.#link.isCluster) return Promise.all(keys.map(key => this.#link.run(key, ['GET', key])))
    return (await this.#link.run(keys[0] as string, ['MGET', ...keys])) as unknown[]
  }

  async #mayBegin(record: SessionRecord): Promise<boolean> {
    const [generation, epoch] = await Promise.all([this.#generation(), record.userId === null ? '' : this.#epoch(record.userId)])
    return generation === record.generation && (record.userId === null || epoch === record.userEpoch)
  }

  /**
   * The second step of a record's beginning, after it was written: its person's epoch and the generation are looked at,
   * and it is filed. If either has changed it is deleted: nobody holds its token yet.
   */
  async #begin(record: SessionRecord): Promise<boolean> {
    const [generation, filed] = await Promise.all([this.#generation(), this.#file(record)])
    if (generation === record.generation && filed) return true
    await this.#link.run(this.#key(record.id), ['DEL', this.#key(record.id)])
    if (record.userId !== null) await this.#unfile(record.userId, [record.id])
    return false
  }

  /** Already on file: its beginning was completed, and no epoch of later is held against it. */
  async #isFiled({ id, userId }: SessionRecord): Promise<boolean> {
    if (userId === null) return true
    return (await this.#index(userId)).ids.includes(id)
  }

  /** A new sign-in of the same person ends later than what is filed of it: once that is past it would be dropped. */
  async #fileAgain(record: SessionRecord): Promise<'saved'> {
    await this.#file(record, HAS_BEGUN)
    return 'saved'
  }

  async #file(record: SessionRecord, epoch = record.userEpoch): Promise<boolean> {
    if (record.userId === null) return true
    const { key, person } = this.#place(record.userId)
    const endsAt = record.expiresAt + FILE_SLACK_MS
    const args = [person, encodeId(record.id), epoch, encodeHour(hourOf(endsAt)), String(endsAt)]
    return (await fileScript.run(this.#link, [key], args)) === 1
  }

  async #unfile(userId: string, ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return
    const { key, person } = this.#place(userId)
    const unfiled = unfileScript.run(this.#link, [key], [person, ...ids.map(encodeId)])
    await unfiled.catch(error => {
      // Nobody is kept signed in because the memory is full: what is filed of the dead is only not cleaned up.
      if (!isOutOfMemory(error)) throw error
    })
  }

  async #guarded<Result>(operation: string, act: () => Promise<Result>): Promise<Result> {
    try {
      if (!this.#contact.isMade) await this.#contact.make()
      return await act()
    } catch (error) {
      // It was a master, and still answers reads: the next act is to find that out before it asks.
      if (isReadOnly(error)) this.#contact.isMade = false
      throw isCoatcheckError(error) ? error : redisFailure(operation, error)
    }
  }
}

interface Values {
  readonly generation: string | undefined
  readonly values: readonly (Buffer | undefined)[]
}

type Outcome = 'saved' | 'prolonged' | 'repeated' | 'conflict' | 'gone' | 'renames'

function outcomeOf(answer: unknown): Outcome {
  return text(answer) as Outcome
}

/** The record, unless it belongs to a generation that was ended; without any generation all are dead. */
function aliveRecord(id: string, value: Buffer | undefined, generation: string | undefined): SessionRecord | undefined {
  if (value === undefined) return undefined
  const record = decodeRecord(id, value)
  return record.generation === generation ? record : undefined
}

/** True if DELETE found a record, and it was not of a generation that was ended. */
function wasAlive(deleted: unknown, generation: string | undefined): boolean {
  return textsOf(deleted)[1] === generation && generation !== undefined
}

/** We ask for Buffers; what is not stored, such as an OK, is text. */
function text(value: unknown): string {
  return Buffer.isBuffer(value) ? value.toString() : String(value)
}

function textOrNothing(value: unknown): string | undefined {
  return value === null || value === undefined ? undefined : text(value)
}

/** Bytes that were read as text are lost: a wrapper around a client has to pass all arguments on. */
function bytesOrNothing(value: unknown): Buffer | undefined {
  if (value === null || value === undefined) return undefined
  if (Buffer.isBuffer(value)) return value
  throw new CoatcheckError(
    'BAD_OPTION',
    'redisStore needs answers as Buffers: hand it the client itself, or pass the options of sendCommand on to it.',
  )
}

function textsOf(values: unknown): readonly string[] {
  return Array.isArray(values) ? values.map(text) : []
}

function nextPage(node: number, cursor: string, nodes: number): string | null {
  if (cursor !== '0') return `${node}:${cursor}`
  return node + 1 < nodes ? `${node + 1}:0` : null
}

function escapeGlob(prefix: string): string {
  return prefix.replace(/[\\*?[\]]/g, '\\$&')
}
