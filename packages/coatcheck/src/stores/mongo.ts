import { checkedTimeLimit, LONGEST_TIME_LIMIT_MS } from '../core/clock.ts'
import { randomText } from '../core/crypto.ts'
import { CoatcheckError } from '../core/errors.ts'
import type { SessionRecord } from '../core/record.ts'
import type { Marks, ScanPage, SessionStore, Watch } from '../core/store.ts'
import { type MongoDb, type MongoDocument, MongoLink } from './mongo/client.ts'
import {
  ANY_RECORD,
  epochOf,
  fieldsOf,
  GENERATION,
  pendingOf,
  recordOf,
  recordsOfUser,
  risingOf,
  toDocument,
  toRecord,
} from './mongo/document.ts'
import { watchCollection } from './mongo/watch.ts'
import { judgeReplace, mayBegin } from './rules.ts'
import { type Found, SharedReads } from './shared-reads.ts'

export type { MongoChangeStream, MongoCollection, MongoDb, MongoDocument } from './mongo/client.ts'

export interface MongoStoreOptions {
  /** The collection that holds everything; `coatcheck` unless given. */
  readonly collection?: string
  /** How long a command may take, in milliseconds; 2000 unless given. */
  readonly timeoutMs?: number
}

/** Bytes of randomness in a generation or an epoch. */
const MARK_BYTES = 9
/** MongoDB's clock forgets nothing sooner than so long after its time, which for an epoch is when it was set (law 8). */
const SLACK_MS = 3_600_000
/** Sessions that one command deletes. */
const BATCH = 1000
/** Ended generations whose leftovers a prune still looks for. What is left of older ones goes in its own time. */
const ENDED_KEPT = 16

/**
 * Sessions in MongoDB (6.0 and later), over a database of a client that you make and close: `client.db()` of `mongodb` 7.
 *
 * A strict read is one command, which the reads of one turn of the event loop share. A login writes its record, then looks
 * at the marks, then files the record under its person; a revocation writes its mark, then deletes. A crash between two of
 * these steps leaves what nobody can use.
 *
 * ```ts
 * const client = await new MongoClient(process.env.MONGODB_URL).connect()
 * await ensureIndexes(client.db())
 * const sessions = createSessions({ store: mongoStore(client.db()), secret })
 * ```
 *
 * @param db of a connected client, which is never closed by the store
 * @throws CoatcheckError `BAD_OPTION` for a database, collection or time that will not do
 */
export function mongoStore(db: MongoDb, options: MongoStoreOptions = {}): SessionStore {
  return new MongoStore(linkOf(db, options))
}

/**
 * Makes the collection's indexes where they are missing; several processes may call it at once. Gives their names.
 *
 * @throws CoatcheckError `STORE_UNAVAILABLE` if MongoDB refuses, `FOREIGN_RECORD` if others of these names are there,
 *   `NOT_SUPPORTED` over FerretDB 1, which loses updates
 */
export async function ensureIndexes(db: MongoDb, options: MongoStoreOptions = {}): Promise<readonly string[]> {
  // An index over many records is long in the making.
  const link = linkOf(db, { ...options, timeoutMs: LONGEST_TIME_LIMIT_MS })
  const make = (name: string, key: Record<string, 1 | -1>, more: object = {}) =>
    link.ask('ensureIndexes', () => link.collection.createIndex(key, { name, ...more }))
  return [
    await make('coatcheck_user', { userId: 1, createdAt: -1 }),
    await make('coatcheck_generation', { generation: 1 }),
    await make('coatcheck_forget', { forgetAt: 1 }, { expireAfterSeconds: SLACK_MS / 1000 }),
  ]
}

/** What one look at a record and its marks found. */
interface Sight {
  readonly stored: SessionRecord | undefined
  /** Its login has not been filed under its person, so that nobody holds its token yet. */
  readonly pending: boolean
  readonly marks: Marks
}

class MongoStore implements SessionStore {
  readonly name = 'mongo'
  readonly #link: MongoLink
  readonly #reads: SharedReads<SessionRecord>

  constructor(link: MongoLink) {
    this.#link = link
    this.#reads = new SharedReads(ids => this.#readAll(ids))
  }

  read(id: string): Promise<SessionRecord | undefined> {
    return this.#reads.read(id)
  }

  async create(record: SessionRecord, forgetAt: number): Promise<'created' | 'taken' | 'refused'> {
    if (!(await this.#link.insert('create', toDocument(record, forgetAt)))) return 'taken'
    return (await this.#begin('create', record)) ? 'created' : 'refused'
  }

  async replace(record: SessionRecord, forgetAt: number): Promise<'saved' | 'conflict' | 'gone' | 'refused'> {
    const [saved, generation] = await Promise.all([
      this.#compareAndSet(record, forgetAt, { userId: record.userId }),
      this.#generation('replace'),
    ])
    if (saved && generation === record.generation) return 'saved'
    const sight = await this.#look('replace', record.id, record.userId)
    // Everyone was revoked meanwhile: it was saved for good only if it was carried over after that.
    if (saved) return aliveIn(sight) ? 'saved' : 'gone'
    const judgement = judgeReplace(sight.stored, record, sight.marks)
    // Its first try may have died before it was filed.
    if (judgement === 'repeated') return !sight.pending || (await this.#begin('replace', record)) ? 'saved' : 'refused'
    if (judgement !== 'write') return judgement
    // Somebody else signs in by it, or nobody any more. Where another one came first, the writer reads anew.
    const { userEpoch } = record
    if (!(await this.#compareAndSet(record, forgetAt, {}, { ...pendingOf(record), userEpoch }))) return 'conflict'
    return (await this.#begin('replace', record)) ? 'saved' : 'refused'
  }

  async touch(id: string, lastSeenAt: number, forgetAt: number): Promise<void> {
    await this.#link.update('touch', recordOf(id), { $max: risingOf(lastSeenAt, forgetAt) })
  }

  async delete(id: string, userId?: string): Promise<boolean> {
    const filter = { ...recordOf(id), ...(userId !== undefined && { userId: { $eq: userId } }) }
    const [deleted, generation] = await Promise.all([this.#link.take('delete', filter), this.#generation('delete')])
    return deleted !== null && isOf(generation, deleted)
  }

  async listByUser(userId: string, limit: number): Promise<readonly SessionRecord[]> {
    const generation = await this.#generation('listByUser')
    // To MongoDB a limit of none is no limit.
    if (generation === undefined || limit < 1) return []
    const filter = { ...recordsOfUser(userId), ...aliveAt(generation), pending: { $exists: false } }
    const found = await this.#link.find('listByUser', filter, { sort: { createdAt: -1 }, limit })
    return found.map(document => recordAt(generation, document))
  }

  async marks(userId: string | null): Promise<Marks> {
    const marks = await this.#marks('marks', userId)
    if (marks.generation !== '') return marks
    await this.#link.insert('marks', { _id: GENERATION, generation: randomText(MARK_BYTES), ended: [] })
    return this.#marks('marks', userId)
  }

  /**
   * The index of a person's sessions is made of the records themselves: an id leaves it with its record, so that what a
   * crash left is found by the next call. Logins under the new epoch are left alone.
   */
  async revokeUser(userId: string, except?: string): Promise<readonly string[]> {
    const epoch = randomText(MARK_BYTES)
    await this.#link.put('revokeUser', epochOf(userId), { $set: { epoch }, $currentDate: { forgetAt: true } })
    const generation = await this.#generation('revokeUser')
    const theirs = { ...recordsOfUser(userId), userEpoch: { $ne: epoch }, ...(except !== undefined && { _id: { $ne: except } }) }
    const ended: MongoDocument[] = []
    for (;;) {
      const found = await this.#link.find('revokeUser', theirs, { projection: { data: 0 }, limit: BATCH })
      // Looked for until none is left: a login that was let in before the epoch was set may land meanwhile.
      if (found.length === 0) break
      await this.#link.remove('revokeUser', { $and: [theirs, { _id: { $in: idsOf(found) } }] })
      ended.push(...found)
    }
    return idsOf(ended.filter(document => isOf(generation, document) && document.pending === undefined))
  }

  /**
   * Carries `except` over first, then sets the generation, and only over the one that it read: whoever came between has
   * ended `except` too, and it stays behind in a generation that never comes.
   */
  async revokeEveryone(except?: string): Promise<void> {
    const { generation } = await this.marks(null)
    const next = randomText(MARK_BYTES)
    if (except !== undefined) {
      const carried = { $set: { generation: next, carriedFrom: generation }, $inc: { version: 1 } }
      await this.#link.update('revokeEveryone', { ...recordOf(except), ...aliveAt(generation) }, carried)
    }
    const ended = [...(await this.#ended('revokeEveryone')), generation].slice(-ENDED_KEPT)
    const change = { $set: { generation: next, ended } }
    if (await this.#link.update('revokeEveryone', { _id: GENERATION, generation }, change)) return
    await this.revokeEveryone()
  }

  async scan(after: string | null, limit: number): Promise<ScanPage> {
    const generation = await this.#generation('scan')
    // Text only: the marks, whose _id is an object, are not among them.
    const found = await this.#link.find('scan', { _id: { $gt: after ?? '' } }, { sort: { _id: 1 }, limit })
    const last = found.length < limit ? undefined : found.at(-1)
    const alive = found.filter(document => isOf(generation, document) && document.pending === undefined)
    const records = alive.map(document => recordAt(generation ?? '', document))
    return { records, next: last === undefined ? null : String(last._id) }
  }

  async prune(before: number, limit: number): Promise<number> {
    const expired = await this.#pruneBatches({ forgetAt: { $lt: new Date(before) }, ...ANY_RECORD }, limit)
    const dead = { generation: { $in: await this.#ended('prune') }, ...ANY_RECORD }
    return expired + (await this.#pruneBatches(dead, limit - expired))
  }

  watch(changed: (id: string | null) => void): Promise<Watch> {
    return watchCollection(this.#link, changed)
  }

  /** The filter is asked twice: what was touched between finding and deleting stays. */
  async #pruneBatches(filter: object, limit: number): Promise<number> {
    let pruned = 0
    while (pruned < limit) {
      const batch = Math.min(BATCH, limit - pruned)
      const found = await this.#link.find('prune', filter, { projection: { _id: 1 }, limit: batch })
      if (found.length > 0) pruned += await this.#link.remove('prune', { $and: [{ _id: { $in: idsOf(found) } }, filter] })
      if (found.length < batch) break
    }
    return pruned
  }

  /**
   * Saves where the version is the one before. Never makes one.
   *
   * The epoch stays, unless `set` has another: a step-up under the epoch that a revocation has just set would else take its
   * session out of what that revocation deletes.
   */
  #compareAndSet(record: SessionRecord, forgetAt: number, more: object, set: object = {}): Promise<boolean> {
    const filter = { ...recordOf(record.id), version: record.version - 1, ...aliveAt(record.generation), ...more }
    const { userEpoch: _kept, ...fields } = fieldsOf(record)
    return this.#link.update('replace', filter, { $set: { ...fields, ...set }, $max: risingOf(record.lastSeenAt, forgetAt) })
  }

  /**
   * The second half of a record's beginning, after it was written: the marks are looked at, and a login is filed under its
   * person. If they have changed it is deleted: nobody holds its token yet.
   */
  async #begin(operation: string, record: SessionRecord): Promise<boolean> {
    const written = { ...recordOf(record.id), version: record.version, tokenHash: record.tokenHash }
    if (mayBegin(record, await this.#marks(operation, record.userId)) && (await this.#file(operation, record, written)))
      return true
    await this.#link.remove(operation, written)
    return false
  }

  /** False if a revocation that came after the look has deleted it. */
  async #file(operation: string, record: SessionRecord, written: object): Promise<boolean> {
    return record.userId === null || this.#link.update(operation, written, { $unset: { pending: '' } })
  }

  async #readAll(ids: readonly string[]): Promise<Found<SessionRecord>> {
    const found = await this.#find('read', ids, null)
    const [documents, marks] = [new Map(found.map(document => [document._id, document])), marksOf(found)]
    return id => {
      const document = documents.get(id)
      if (document === undefined) return undefined
      // Many megabytes come in parts, and between two of them it may have been carried over into a new generation.
      return aliveIn(sightOf(document, marks)) ?? this.#readAlone(id)
    }
  }

  async #readAlone(id: string): Promise<SessionRecord | undefined> {
    return aliveIn(await this.#look('read', id, null))
  }

  async #look(operation: string, id: string, userId: string | null): Promise<Sight> {
    const found = await this.#find(operation, [id], userId)
    return sightOf(
      found.find(({ _id }) => _id === id),
      marksOf(found),
    )
  }

  async #marks(operation: string, userId: string | null): Promise<Marks> {
    return marksOf(await this.#find(operation, [], userId))
  }

  /** Records and the marks beside them, by one command. */
  #find(operation: string, ids: readonly string[], userId: string | null): Promise<readonly MongoDocument[]> {
    const wanted = [...ids, GENERATION, ...(userId === null ? [] : [epochOf(userId)])]
    // MongoDB's own batch is 101 documents, and one that is full is asked for more.
    return this.#link.find(operation, { _id: { $in: wanted } }, { batchSize: wanted.length + 1 })
  }

  async #generation(operation: string): Promise<string | undefined> {
    return (await this.#marks(operation, null)).generation || undefined
  }

  /** The generations of before. */
  async #ended(operation: string): Promise<readonly unknown[]> {
    const [mark] = await this.#link.find(operation, { _id: GENERATION })
    return Array.isArray(mark?.ended) ? mark.ended : []
  }
}

function sightOf(document: MongoDocument | undefined, marks: Marks): Sight {
  return { stored: document && recordAt(marks.generation, document), pending: document?.pending !== undefined, marks }
}

function aliveIn({ stored, marks }: Sight): SessionRecord | undefined {
  return marks.generation !== '' && stored?.generation === marks.generation ? stored : undefined
}

/** True for a record of this generation; without any generation all are dead. */
function isOf(generation: string | undefined, document: MongoDocument): boolean {
  return generation !== undefined && (document.generation === generation || document.carriedFrom === generation)
}

/** The same as a filter. A record that is carried over counts as of the generation before, until the next one is set. */
function aliveAt(generation: string): object {
  return { $or: [{ generation }, { carriedFrom: generation }] }
}

function recordAt(generation: string, document: MongoDocument): SessionRecord {
  return toRecord(isOf(generation, document) ? { ...document, generation } : document)
}

function marksOf(found: readonly MongoDocument[]): Marks {
  const generation = found.find(({ _id }) => isMark(_id, 'mark'))?.generation
  const userEpoch = found.find(({ _id }) => isMark(_id, 'epochOf'))?.epoch
  return { generation: String(generation ?? ''), userEpoch: String(userEpoch ?? '') }
}

function isMark(_id: unknown, kind: 'mark' | 'epochOf'): boolean {
  return typeof _id === 'object' && _id !== null && kind in _id
}

function idsOf(documents: readonly MongoDocument[]): readonly string[] {
  return documents.map(({ _id }) => String(_id))
}

function linkOf(db: MongoDb, { collection = 'coatcheck', timeoutMs }: MongoStoreOptions): MongoLink {
  if (typeof db?.collection !== 'function' || typeof db.command !== 'function')
    throw bad('needs a database of the package mongodb: new MongoClient(…).db().')
  if (typeof collection !== 'string' || !/^[\w.-]{1,100}$/.test(collection) || collection.startsWith('system.'))
    throw bad('collection must be a name of at most 100 letters, digits, dots, hyphens and underscores.')
  return new MongoLink(db, collection, checkedTimeLimit('mongoStore', timeoutMs))
}

function bad(what: string): CoatcheckError {
  return new CoatcheckError('BAD_OPTION', `mongoStore: ${what}`)
}
