import { closeSync, openSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { randomText } from '../../core/crypto.ts'
import { CoatcheckError } from '../../core/errors.ts'
import { isBusy, storeError, tooManyWait } from './errors.ts'
import { ADD_MARK, COLUMNS_OF, CREATE_TABLES, DATA_VERSION, FORMAT, READ_MARK, TABLES } from './statements.ts'

/** Bytes of randomness in a generation or an epoch. */
export const MARK_BYTES = 9
/** The write-ahead log is cut back to this after a checkpoint. */
const WAL_LIMIT_BYTES = 16 * 1024 * 1024
const LONGEST_PAUSE_MS = 20
/** Writes in the queue, each with its request and its data (law 11). */
const MOST_WAITING = 10_000

/**
 * One connection of our own to one file.
 *
 * Waiting for a lock never blocks the event loop: SQLite's own busy handler sleeps on the thread, so it is left at zero
 * and a busy attempt is made again after a short timer, until `busyMs` are over. Writes stand in one queue, so that a
 * file that is locked for long costs one attempt at a time and not one for each waiting request. A full queue refuses.
 */
export class Connection {
  readonly #db: DatabaseSync
  readonly #path: string
  readonly #busyMs: number
  readonly #dataVersion: StatementSync
  #queue: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #closed = false

  constructor(path: string, busyMs: number) {
    this.#path = path
    this.#busyMs = busyMs
    this.#db = this.#open()
    this.#dataVersion = this.#db.prepare(DATA_VERSION)
    // Node 22.13 lacks it; an array costs half a microsecond less than an object on every read.
    if ('setReturnArrays' in this.#dataVersion) this.#dataVersion.setReturnArrays(true)
  }

  prepare(sql: string): StatementSync {
    return this.#db.prepare(sql)
  }

  /** A number that is another one as soon as another connection, of whatever process, has committed a change. */
  dataVersion(): unknown {
    const row = this.#dataVersion.get()
    return row?.[0] ?? row?.data_version
  }

  /** Reads now; if the file is locked just now (another process recovers or closes it), a little later. */
  read<T>(attempt: () => T): T | Promise<T> {
    try {
      return attempt()
    } catch (error) {
      if (isBusy(error)) return this.#patiently(attempt, this.#deadline())
      throw storeError(error, this.#path)
    }
  }

  /**
   * Runs `work` in one transaction that holds the write lock from its beginning.
   *
   * An acknowledged write survives the death of the process in any case. With `durable` it survives a power cut too: the
   * log is synced before this resolves, and with it all that was written before. Without, a power cut may take back the
   * last moments, in order, never a part of one.
   */
  async write<T>(work: () => T, durable = false): Promise<T> {
    if (this.#waiting >= MOST_WAITING) throw tooManyWait(this.#path)
    const deadline = this.#deadline()
    const turn = this.#queue.then(() => this.#patiently(() => this.#transaction(work, durable), deadline))
    this.#waiting++
    // Whoever asked for the write hears of its failure; the queue only goes on.
    this.#queue = turn.catch(() => {}).finally(() => this.#waiting--)
    return turn
  }

  async close(): Promise<void> {
    await this.#queue
    if (this.#closed) return
    this.#closed = true
    this.#db.close()
  }

  #deadline(): number {
    return performance.now() + this.#busyMs
  }

  async #patiently<T>(attempt: () => T, deadline: number): Promise<T> {
    for (let pause = 1; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      try {
        return attempt()
      } catch (error) {
        if (!isBusy(error) || performance.now() >= deadline) throw storeError(error, this.#path)
      }
      await delay(pause * (0.5 + Math.random()))
    }
  }

  #transaction<T>(work: () => T, durable: boolean): T {
    // The level can be changed only outside of a transaction; https://www.sqlite.org/pragma.html#pragma_synchronous
    if (durable) this.#db.exec('PRAGMA synchronous = FULL')
    try {
      return this.#immediate(work)
    } finally {
      if (durable) this.#db.exec('PRAGMA synchronous = NORMAL')
    }
  }

  #immediate<T>(work: () => T): T {
    this.#db.exec('BEGIN IMMEDIATE')
    try {
      const result = work()
      this.#db.exec('COMMIT')
      return result
    } catch (error) {
      this.#rollBack()
      throw error
    }
  }

  #rollBack(): void {
    try {
      this.#db.exec('ROLLBACK')
    } catch {
      // SQLite has rolled back by itself (disk full, I/O error); the error that led here is the one to tell.
    }
  }

  #open(): DatabaseSync {
    const deadline = this.#deadline()
    for (;;) {
      let db: DatabaseSync | undefined
      try {
        createPrivateFile(this.#path)
        db = new DatabaseSync(this.#path)
        setUp(db, this.#path)
        return db
      } catch (error) {
        db?.close()
        if (!isBusy(error) || performance.now() >= deadline) throw storeError(error, this.#path)
      }
      // Start-up is synchronous, so that a wrong path throws where it was written.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LONGEST_PAUSE_MS)
    }
  }
}

/**
 * Makes the file, if it is not there, readable for its owner only; SQLite gives the -wal and -shm beside it the same mode.
 *
 * A file that exists is never opened here: closing any descriptor of it would drop the POSIX locks that another
 * connection of this process holds (https://www.sqlite.org/howtocorrupt.html §2.2).
 */
function createPrivateFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
}

function setUp(db: DatabaseSync, path: string): void {
  const mode = db.prepare('PRAGMA journal_mode = WAL').get()?.journal_mode
  if (mode !== 'wal') throw noWriteAheadLog(path)
  // fullfsync: on macOS a plain fsync leaves the data in the disk's own cache; elsewhere it changes nothing.
  db.exec(`PRAGMA synchronous = NORMAL; PRAGMA fullfsync = ON; PRAGMA journal_size_limit = ${WAL_LIMIT_BYTES}`)
  if (isOurs(db, path)) return
  db.exec('BEGIN IMMEDIATE')
  db.exec(CREATE_TABLES)
  db.prepare(ADD_MARK).run({ name: 'format', value: FORMAT })
  db.prepare(ADD_MARK).run({ name: 'generation', value: randomText(MARK_BYTES) })
  db.exec('COMMIT')
}

/** True if all the tables are there and ours; false if one is missing; throws if one belongs to somebody else. */
function isOurs(db: DatabaseSync, path: string): boolean {
  const columnsOf = db.prepare(COLUMNS_OF)
  let complete = true
  for (const [table, expected] of Object.entries(TABLES)) {
    const found = columnsOf.all({ table }).map(row => row.name)
    if (found.length === 0) complete = false
    else if (found.join() !== expected.join()) throw foreignTable(path, table)
  }
  if (!complete) return false
  const format = db.prepare(READ_MARK).get({ name: 'format' })?.value
  if (format !== FORMAT) throw otherFormat(path, format)
  return true
}

function noWriteAheadLog(path: string): CoatcheckError {
  return new CoatcheckError(
    'STORE_UNAVAILABLE',
    `The session database ${JSON.stringify(path)} cannot keep a write-ahead log there. Put it on a local disk, not on a network share.`,
  )
}

function foreignTable(path: string, table: string): CoatcheckError {
  return new CoatcheckError(
    'FOREIGN_RECORD',
    `The database ${JSON.stringify(path)} has a table ${table} that Coatcheck did not make. Give sqliteStore a file of its own.`,
  )
}

function otherFormat(path: string, format: unknown): CoatcheckError {
  return new CoatcheckError(
    'FOREIGN_RECORD',
    `The session database ${JSON.stringify(path)} is of format ${JSON.stringify(format)}; this Coatcheck knows format ${FORMAT}. Use the version that made it, or another file.`,
  )
}
