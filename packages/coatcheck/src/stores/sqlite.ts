import { resolve } from 'node:path'
import type { SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite'
import { setImmediate as breathe } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Clock, type Duration, durationMs, systemClock } from '../core/clock.ts'
import { randomText } from '../core/crypto.ts'
import { CoatcheckError } from '../core/errors.ts'
import { RecentMap } from '../core/recent-map.ts'
import { bytesInMemory, type SessionRecord } from '../core/record.ts'
import { EPOCH_KEPT_MS, type Marks, type MaybePromise, type ScanPage, type SessionStore } from '../core/store.ts'
import { judgeReplace, mayBegin } from './rules.ts'
import { Connection, MARK_BYTES } from './sqlite/connection.ts'
import * as sql from './sqlite/statements.ts'

export interface SqliteStoreOptions {
  /** How long a call waits for a lock that another connection holds before it fails with `STORE_UNAVAILABLE`; 5 s unless given. */
  readonly busyTimeout?: Duration
  /** Where the time comes from by which epochs are forgotten. */
  readonly clock?: Clock
}

/** Records that are kept parsed at most, and about how many bytes of them; half of it are those read last (law 11). */
const KEPT_RECORDS = 40_000
const KEPT_BYTES = 32 * 1024 * 1024
/** Rows that one transaction of a prune deletes: the lock is held for about a millisecond. */
const PRUNE_BATCH = 200

type Row = Record<string, SQLOutputValue>
type Parameters = Record<string, SQLInputValue>

/**
 * Sessions in one SQLite file, through Node's own `node:sqlite`: the embedded default, for one machine with any number of
 * processes.
 *
 * Survives `kill -9` without losing what it acknowledged. A power cut may take back the last moments of logins and saves,
 * never a logout or a revocation: those are synced to the disk before they resolve. The file is made readable for its
 * owner only (mode 0600). On Node 22 the module prints an ExperimentalWarning.
 *
 * ```ts
 * const sessions = createSessions({ store: sqliteStore('./data/sessions.db'), secret })
 * ```
 *
 * @param path the file, as text or as a `file:` URL; made if it is not there, its folder must be
 * @throws CoatcheckError `BAD_OPTION` for a path that is none, `STORE_UNAVAILABLE` if the file cannot be used,
 *   `FOREIGN_RECORD` if its tables are another application's or of another format
 */
export function sqliteStore(path: string | URL, options: SqliteStoreOptions = {}): SessionStore {
  const busyMs = durationMs(options.busyTimeout ?? '5s', 'sqliteStore: busyTimeout')
  return new SqliteStore(new Connection(filePath(path), busyMs), options.clock ?? systemClock)
}

class SqliteStore implements SessionStore {
  readonly name = 'sqlite'
  readonly cannot = { watch: 'SQLite tells no process of another one’s changes; a read notices them by itself at little cost' }

  readonly #connection: Connection
  readonly #clock: Clock
  readonly #prepared = new Map<string, StatementSync>()
  readonly #kept = new RecentMap<SessionRecord>(KEPT_RECORDS, { most: KEPT_BYTES, of: bytesInMemory })
  readonly #read: StatementSync
  #keptAt: unknown

  constructor(connection: Connection, clock: Clock) {
    this.#connection = connection
    this.#clock = clock
    this.#read = connection.prepare(sql.READ)
  }

  read(id: string): MaybePromise<SessionRecord | undefined> {
    return this.#connection.read(() => this.#current(id))
  }

  create(record: SessionRecord, forgetAt: number): Promise<'created' | 'taken' | 'refused'> {
    return this.#connection.write(() => {
      if (this.#get(sql.EXISTS, { id: record.id })) return 'taken'
      if (!mayBegin(record, this.#marks(record.userId))) return 'refused'
      this.#run(sql.INSERT, toRow(record, forgetAt))
      return 'created'
    })
  }

  replace(record: SessionRecord, forgetAt: number): Promise<'saved' | 'conflict' | 'gone' | 'refused'> {
    return this.#connection.write(() => {
      const judgement = judgeReplace(this.#stored(record.id), record, this.#marks(record.userId))
      if (judgement === 'repeated') return 'saved'
      if (judgement !== 'write') return judgement
      this.#kept.delete(record.id)
      this.#run(sql.UPDATE, toRow(record, forgetAt))
      return 'saved'
    })
  }

  touch(id: string, lastSeenAt: number, forgetAt: number): Promise<void> {
    return this.#connection.write(() => {
      this.#kept.delete(id)
      this.#run(sql.TOUCH, { id, last_seen_at: lastSeenAt, forget_at: forgetAt })
    })
  }

  delete(id: string, userId?: string): Promise<boolean> {
    return this.#durably(() => {
      this.#kept.delete(id)
      return this.#get(sql.DELETE, { id, user_id: userId ?? null })?.live === 1
    })
  }

  async listByUser(userId: string, limit: number): Promise<readonly SessionRecord[]> {
    const rows = await this.#connection.read(() => this.#all(sql.LIST_BY_USER, { user_id: userId, limit }))
    return rows.map(toRecord)
  }

  async marks(userId: string | null): Promise<Marks> {
    const marks = await this.#connection.read(() => this.#marks(userId))
    return marks.generation === '' ? this.#firstMarks(userId) : marks
  }

  revokeUser(userId: string, except?: string): Promise<readonly string[]> {
    return this.#durably(() => {
      const now = this.#clock.now()
      this.#run(sql.SET_EPOCH, { user_id: userId, epoch: randomText(MARK_BYTES), set_at: now })
      this.#run(sql.FORGET_EPOCHS, { before: now - EPOCH_KEPT_MS })
      const deleted = this.#all(sql.DELETE_OF_USER, { user_id: userId, except: except ?? null })
      return this.#forget(deleted.filter(row => row.live === 1))
    })
  }

  revokeEveryone(except?: string): Promise<void> {
    return this.#durably(() => {
      const generation = randomText(MARK_BYTES)
      this.#kept.clear()
      if (except !== undefined) this.#run(sql.CARRY_OVER, { id: except, generation })
      this.#run(sql.SET_GENERATION, { generation })
    })
  }

  async scan(after: string | null, limit: number): Promise<ScanPage> {
    const rows = await this.#connection.read(() => this.#all(sql.SCAN, { after: after ?? '', limit }))
    const last = rows.length < limit ? undefined : rows.at(-1)
    return { records: rows.filter(row => row.live === 1).map(toRecord), next: last === undefined ? null : text(last.id) }
  }

  /** Deletes a few rows at a time and lets other work go on between, so that neither the loop nor the lock is held for long. */
  async prune(before: number, limit: number): Promise<number> {
    await this.#connection.write(() => this.#run(sql.FORGET_EPOCHS, { before: this.#clock.now() - EPOCH_KEPT_MS }))
    let pruned = 0
    for (;;) {
      const batch = Math.min(PRUNE_BATCH, limit - pruned)
      const deleted = await this.#connection.write(() => this.#pruneBatch(before, batch))
      pruned += deleted
      if (deleted < batch || pruned >= limit) return pruned
      await breathe()
    }
  }

  close(): Promise<void> {
    return this.#connection.close()
  }

  /**
   * The record as it is now. One that was read before is given again for as long as neither another connection nor we
   * have changed anything: asking for that costs less than reading the row, and far less than making a record of it.
   *
   * The version is asked for first. What another process commits between the two statements is then either in the row,
   * or makes the version another one for the next read.
   */
  #current(id: string): SessionRecord | undefined {
    const version = this.#connection.dataVersion()
    if (version !== this.#keptAt) this.#kept.clear()
    this.#keptAt = version
    return this.#kept.get(id) ?? this.#keep(id, this.#read.get({ id }))
  }

  #keep(id: string, row: Row | undefined): SessionRecord | undefined {
    if (row === undefined) return undefined
    const record = toRecord(row)
    this.#kept.set(id, record)
    return record
  }

  /** The record under the write lock. */
  #stored(id: string): SessionRecord | undefined {
    const row = this.#read.get({ id })
    return row && toRecord(row)
  }

  #marks(userId: string | null): Marks {
    const row = this.#get(sql.MARKS, { user_id: userId })
    return { generation: textOrNull(row?.generation) ?? '', userEpoch: textOrNull(row?.epoch) ?? '' }
  }

  #firstMarks(userId: string | null): Promise<Marks> {
    return this.#connection.write(() => {
      this.#run(sql.ADD_MARK, { name: 'generation', value: randomText(MARK_BYTES) })
      return this.#marks(userId)
    })
  }

  #pruneBatch(before: number, limit: number): number {
    const forgotten = this.#all(sql.PRUNE_FORGOTTEN, { before, limit })
    const dead = this.#all(sql.PRUNE_DEAD, { limit: limit - forgotten.length })
    this.#forget(forgotten)
    return forgotten.length + dead.length
  }

  #forget(rows: readonly Row[]): string[] {
    const ids = rows.map(row => text(row.id))
    for (const id of ids) this.#kept.delete(id)
    return ids
  }

  #durably<T>(work: () => T): Promise<T> {
    return this.#connection.write(work, true)
  }

  #statement(statement: string): StatementSync {
    const prepared = this.#prepared.get(statement) ?? this.#connection.prepare(statement)
    this.#prepared.set(statement, prepared)
    return prepared
  }

  #get(statement: string, parameters: Parameters): Row | undefined {
    return this.#statement(statement).get(parameters)
  }

  /** All rows at once: a cursor left open would freeze what this connection sees. */
  #all(statement: string, parameters: Parameters): Row[] {
    return this.#statement(statement).all(parameters)
  }

  #run(statement: string, parameters: Parameters): void {
    this.#statement(statement).run(parameters)
  }
}

function toRow(record: SessionRecord, forgetAt: number): Parameters {
  return {
    id: record.id,
    version: record.version,
    token_hash: record.tokenHash,
    user_id: record.userId,
    user_epoch: record.userEpoch,
    generation: record.generation,
    created_at: record.createdAt,
    authenticated_at: record.authenticatedAt,
    last_seen_at: record.lastSeenAt,
    expires_at: record.expiresAt,
    remember: record.remember ? 1 : 0,
    ip: record.ip,
    user_agent: record.userAgent,
    data: record.data,
    forget_at: forgetAt,
  }
}

function toRecord(row: Row): SessionRecord {
  return Object.freeze({
    id: text(row.id),
    version: Number(row.version),
    tokenHash: text(row.token_hash),
    userId: textOrNull(row.user_id),
    userEpoch: text(row.user_epoch),
    generation: text(row.generation),
    createdAt: Number(row.created_at),
    authenticatedAt: row.authenticated_at == null ? null : Number(row.authenticated_at),
    lastSeenAt: Number(row.last_seen_at),
    expiresAt: Number(row.expires_at),
    remember: row.remember === 1,
    ip: textOrNull(row.ip),
    userAgent: textOrNull(row.user_agent),
    data: text(row.data),
  })
}

/** STRICT tables hold what their columns say; a value of another type means that somebody else made the table. */
function text(value: SQLOutputValue | undefined): string {
  if (typeof value === 'string') return value
  throw new CoatcheckError(
    'FOREIGN_RECORD',
    'A session row holds a value of a type that Coatcheck does not write. Give sqliteStore a file of its own.',
  )
}

function textOrNull(value: SQLOutputValue | undefined): string | null {
  return value == null ? null : text(value)
}

function filePath(path: unknown): string {
  if (path instanceof URL && path.protocol === 'file:') return fileURLToPath(path)
  if (typeof path !== 'string' || path === '') throw badPath(path)
  if (path === ':memory:')
    throw new CoatcheckError('BAD_OPTION', 'sqliteStore keeps sessions in a file; for memory use memoryStore().')
  if (path.includes('\0')) throw new CoatcheckError('BAD_OPTION', 'sqliteStore: the path must not hold a NUL character.')
  // An absolute path also keeps SQLite from reading `file:x?mode=memory` as a URI.
  return resolve(path)
}

function badPath(path: unknown): CoatcheckError {
  if (typeof path !== 'object' || path === null || path instanceof URL)
    return new CoatcheckError(
      'BAD_OPTION',
      `sqliteStore needs the path of a file, as text or as a file: URL; got ${kindOf(path)}.`,
    )
  return new CoatcheckError(
    'BAD_OPTION',
    'sqliteStore opens a connection of its own: give it the path, not a database handle. On a shared handle your rolled-back transaction would undo our saves, and your open cursor would hide revocations.',
  )
}

function kindOf(value: unknown): string {
  if (value instanceof URL) return `a ${value.protocol} URL`
  return value === '' ? 'an empty text' : value === null ? 'null' : typeof value
}
