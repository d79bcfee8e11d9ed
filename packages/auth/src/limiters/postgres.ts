import { CoatcheckError } from 'coatcheck'
import { RateLimiterPostgres } from 'rate-limiter-flexible'
import type { Limiter } from '../throttle/limiter.ts'

/** A `pg` pool, or anything with its `query`: made and ended by you. */
export interface PostgresPool {
  query(text: string): Promise<unknown>
}

/** How `postgresLimiter` may be set. */
export interface PostgresLimiterOptions {
  /** Default `coatcheck_tries`. */
  readonly table?: string
  /** False where the role may not create tables: run `postgresLimiterSchema(table)` yourself. Default true. */
  readonly createTable?: boolean
}

const DEFAULT_TABLE = 'coatcheck_tries'

/** The table of tries, as SQL to run once. It holds hashes and counts only, and may be UNLOGGED or emptied at any time. */
export function postgresLimiterSchema(table = DEFAULT_TABLE): string {
  const name = checkedName(table)
  return `CREATE TABLE IF NOT EXISTS "${name}" (key varchar(255) PRIMARY KEY, points integer NOT NULL DEFAULT 0, expire bigint);
CREATE INDEX IF NOT EXISTS "${name}_expire" ON "${name}" (expire);`
}

/** Counts tries in Postgres, for any number of processes: each is one upsert, which takes the row's lock. */
export function postgresLimiter(
  pool: PostgresPool,
  { table = DEFAULT_TABLE, createTable = true }: PostgresLimiterOptions = {},
): Limiter {
  const schema = postgresLimiterSchema(table)
  let first = true
  return {
    name: 'postgres',
    create(options) {
      // One of the limiters that share the table throws away, every five minutes, what has ended an hour ago.
      const clearExpiredByTimeout = first
      first = false
      return new RateLimiterPostgres({
        ...options,
        storeClient: pool,
        storeType: 'pool',
        tableName: table,
        // The library would make it in its constructor, and crash the process where the database is down at that moment.
        tableCreated: true,
        clearExpiredByTimeout,
      })
    },
    async prepare() {
      if (createTable) await createOnce(pool, schema)
    },
  }
}

/**
 * `IF NOT EXISTS` does not hold between processes that start at once: the later one may be told that the table, its type or
 * its index is there already (duplicate_table, duplicate_object, or unique_violation in the catalogue), and then has it.
 */
const MADE_MEANWHILE: ReadonlySet<unknown> = new Set(['42P07', '42710', '23505'])
/** One for the table, one for the index, and one to spare. */
const MOST_TRIES = 3

async function createOnce(pool: PostgresPool, schema: string): Promise<void> {
  for (let tried = 1; ; tried++) {
    try {
      return void (await pool.query(schema))
    } catch (error) {
      if (tried === MOST_TRIES || !MADE_MEANWHILE.has((error as { code?: unknown }).code)) throw error
    }
  }
}

function checkedName(table: string): string {
  if (/^[a-z_][a-z0-9_]{0,50}$/.test(table)) return table
  throw new CoatcheckError(
    'BAD_OPTION',
    `table must be lower-case letters, digits and underscores, 51 at most; got ${JSON.stringify(table)}.`,
  )
}
