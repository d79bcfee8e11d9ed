import { DatabaseSync } from 'node:sqlite'
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
      async consume(key) {
        forgetEnded()
        return limiter.consume(key)
      },
      reward: key => limiter.reward(key),
      delete: key => limiter.delete(key),
    }
  }

  return { name: 'sqlite', developmentOnly: !hasFile(database), create, close: () => database.close() }
}

/** A path alone does not tell: SQLite takes an empty one, and `file:x?mode=memory`, for no file either. */
function hasFile(database: DatabaseSync): boolean {
  return database.prepare("SELECT file FROM pragma_database_list WHERE name = 'main'").get()?.file !== ''
}

/**
 * `node:sqlite` as the part of better-sqlite3 that the library calls. It asks for a transaction around its single
 * statement, an upsert that is atomic by itself.
 */
function clientOf(database: DatabaseSync): object {
  return { prepare: (sql: string) => database.prepare(sql), transaction: <Act>(act: Act) => act }
}
