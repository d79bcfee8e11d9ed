import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { RateLimiterSQLite } from 'rate-limiter-flexible'
import type { Limiter, RateLimiter, RateLimiterOptions } from '../throttle/limiter.ts'

const TABLE = 'coatcheck_tries'
const SCHEMA = `
  PRAGMA busy_timeout = 1000;
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  CREATE TABLE IF NOT EXISTS ${TABLE} (key TEXT PRIMARY KEY, points INTEGER NOT NULL DEFAULT 0, expire INTEGER) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS ${TABLE}_expire ON ${TABLE} (expire);
`
/** From here on calls wait for a lock as long as another connection's write takes: they stop the event loop. */
const HARDLY_WAIT = 'PRAGMA busy_timeout = 5'
/** A file that another connection keeps locked for so long, and at each of so many looks, is taken for down. */
const LOCKED_FOR_MS = 1000
const LOOKS = 20
const LOOK_EVERY_MS = 25
const SQLITE_BUSY = 5
/** The rest of a result code says which way. */
const PRIMARY_CODE = 0xff
const FORGET_EVERY_MS = 60_000
/** So many rows in one go: forgetting must never stall the event loop. */
const FORGET_BATCH = 1000
const FORGET = `DELETE FROM ${TABLE} WHERE key IN (SELECT key FROM ${TABLE} WHERE expire < ? LIMIT ${FORGET_BATCH})`

/**
 * Counts tries in an SQLite file, for all processes on one machine. The file may be your application's own: this opens
 * its own connection to it, and one table.
 *
 * @param path of the file; `:memory:`, and whatever else SQLite takes for no file, counts for this process only
 */
export function sqliteLimiter(path: string): Limiter {
  const database = new DatabaseSync(path)
  database.exec(SCHEMA)
  database.exec(HARDLY_WAIT)
  const patiently = patienceWith(database)
  let forgetAt = Date.now() + FORGET_EVERY_MS

  function forgetEnded(): void {
    const now = Date.now()
    if (now < forgetAt) return
    const { changes } = database.prepare(FORGET).run(now)
    forgetAt = Number(changes) < FORGET_BATCH ? now + FORGET_EVERY_MS : now
  }

  function create(options: RateLimiterOptions): RateLimiter {
    const limiter = new RateLimiterSQLite({
      ...options,
      storeClient: clientOf(database),
      storeType: 'better-sqlite3',
      tableName: TABLE,
      tableCreated: true,
      // Its timer outlives `close`, and then its query is an unhandled rejection.
      clearExpiredByTimeout: false,
    })
    return {
      consume: key =>
        patiently(() => {
          forgetEnded()
          return limiter.consume(key)
        }),
      reward: key => patiently(() => limiter.reward(key)),
      delete: key => patiently(() => limiter.delete(key)),
    }
  }

  return { name: 'sqlite', developmentOnly: !hasFile(database), create, close: () => database.close() }
}

/** A path alone does not tell: SQLite takes an empty one, and `file:x?mode=memory`, for no file either. */
function hasFile(database: DatabaseSync): boolean {
  return database.prepare("SELECT file FROM pragma_database_list WHERE name = 'main'").get()?.file !== ''
}

/** Runs writes. While another connection has the file locked they wait beside the event loop, and one look does for all. */
function patienceWith(database: DatabaseSync) {
  let free: Promise<void> | undefined

  async function unlocked(): Promise<void> {
    const endsAt = performance.now() + LOCKED_FOR_MS
    for (let look = 1; ; look++) {
      await sleep(LOOK_EVERY_MS, undefined, { ref: false })
      try {
        return database.exec('BEGIN IMMEDIATE; ROLLBACK')
      } catch (error) {
        if (!isBusy(error) || (look >= LOOKS && performance.now() >= endsAt)) throw error
      }
    }
  }

  return async function patiently<Result>(write: () => Promise<Result>): Promise<Result> {
    for (;;) {
      await free
      try {
        return await write()
      } catch (error) {
        if (!isBusy(error)) throw error
      }
      free ??= unlocked().finally(() => {
        free = undefined
      })
    }
  }
}

function isBusy(error: unknown): boolean {
  const { errcode } = error as { readonly errcode?: number }
  return errcode !== undefined && (errcode & PRIMARY_CODE) === SQLITE_BUSY
}

/**
 * `node:sqlite` as the part of better-sqlite3 that the library calls. It asks for a transaction around its single
 * statement, an upsert that is atomic by itself.
 */
function clientOf(database: DatabaseSync): object {
  return { prepare: (sql: string) => database.prepare(sql), transaction: <Act>(act: Act) => act }
}
