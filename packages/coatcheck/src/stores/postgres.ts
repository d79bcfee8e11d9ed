import { createHash } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { checkedTimeLimit } from '../core/clock.ts'
import { randomText, sha256 } from '../core/crypto.ts'
import { CoatcheckError } from '../core/errors.ts'
import type { SessionRecord } from '../core/record.ts'
import { EPOCH_KEPT_MS, type Marks, type ScanPage, type SessionStore, type Watch } from '../core/store.ts'
import {
  type PostgresClient,
  PostgresLink,
  type PostgresListener,
  type PostgresPool,
  type PostgresResult,
  type PostgresRow,
  type PreparedStatement,
} from './postgres/client.ts'
import { hasMigrations, lastMigration, type Migration, migrationsFor } from './postgres/migrations.ts'
import { text, textOrNull, toRecord, toRow, whole } from './postgres/row.ts'
import { type Statements, statementsFor } from './postgres/statements.ts'
import { watchChanges } from './postgres/watch.ts'
import { type Judgement, judgeReplace } from './rules.ts'
import { type Found, SharedReads } from './shared-reads.ts'

export type {
  PostgresClient,
  PostgresConnection,
  PostgresListener,
  PostgresNotification,
  PostgresPool,
  PostgresResult,
  PostgresRow,
  PreparedStatement,
} from './postgres/client.ts'
export type { Migration } from './postgres/migrations.ts'

export interface PostgresStoreOptions {
  /** The schema of our tables; `coatcheck` unless given. Small letters, digits and underscores. */
  readonly schema?: string
  /**
   * How long a call of the store may take, in milliseconds; 2000 unless given. It holds whatever the pool is set to, and
   * the wait for a free connection is part of it. The end of all of a person's sessions, and prunes, have ten times as long.
   */
  readonly timeoutMs?: number
  /**
   * For a near cache: gives a connection to listen on, not connected yet: `() => new Client(url)` of `pg`. Needed where the
   * pool goes through a transaction pooler (PgBouncer), which delivers no notices. Without it, one connection of the pool
   * is kept for as long as the near cache is on.
   */
  readonly listen?: () => PostgresListener
}

/** Bytes of randomness in a generation or an epoch. */
const MARK_BYTES = 9
/** Longer than core may compare with it. */
const EPOCH_TTL_MS = EPOCH_KEPT_MS + 60_000
/** Rows that one statement of a prune deletes: their locks are held for some milliseconds. */
const PRUNE_BATCH = 25
/** A prune rests for so many times as long as its batch took: those who are served meanwhile go first. */
const PRUNE_RESTS = 7
/** Blocks (8 KiB each) that one statement of a prune reads, and that one call reads at most. */
const RANGE_BLOCKS = 256
const MOST_BLOCKS = 4096
/** What touches many rows takes longer than what touches one. */
const MANY_ROWS = 10
const MIGRATION_MS = 3_600_000

/**
 * Sessions in PostgreSQL (14 and later), over a `pg` pool that you make and close. The tables must be there: see `migrate`.
 *
 * A strict read is one statement, shared by all of one turn of the event loop. A save is one too; a login, and the end of
 * all of a person's sessions, take one transaction each under the same lock, so that they cannot cross.
 *
 * ```ts
 * const pool = new Pool({ connectionString: process.env.DATABASE_URL, connectionTimeoutMillis: 2000 })
 * await migrate(pool)
 * const sessions = createSessions({ store: postgresStore(pool), secret })
 * ```
 *
 * @param pool connected to the primary; never closed by the store
 * @throws CoatcheckError `BAD_OPTION` for a pool, schema, limit or listener that will not do
 */
export function postgresStore(pool: PostgresPool, options: PostgresStoreOptions = {}): SessionStore {
  const link = new PostgresLink(checkedPool(pool), checkedTimeLimit('postgresStore', options.timeoutMs))
  return new PostgresStore(link, checkedSchema(options.schema), checkedListen(options.listen))
}

/**
 * Takes the steps that the schema lacks, in one transaction; several processes may call it at once. Gives the numbers of
 * the steps that it took. The role must own the schema, or may create it; the store itself needs less.
 *
 * @throws CoatcheckError `STORE_UNAVAILABLE` if Postgres refuses, `FOREIGN_RECORD` if the tables are another application's
 */
export function migrate(pool: PostgresPool, options: PostgresStoreOptions = {}): Promise<readonly number[]> {
  const schema = checkedSchema(options.schema)
  return new PostgresLink(checkedPool(pool), MIGRATION_MS).inTransaction('migrate', lockOf(schema, 'migrate'), async client => {
    const done = await lastOf(client, schema)
    const missing = migrationsFor(schema).filter(({ number }) => number > done)
    for (const { sql } of missing) await client.query(sql)
    return missing.map(({ number }) => number)
  })
}

/** The same steps as text, for those who run SQL by other means. */
export function migrations(options: PostgresStoreOptions = {}): readonly Migration[] {
  return migrationsFor(checkedSchema(options.schema))
}

async function lastOf(client: PostgresClient, schema: string): Promise<number> {
  const { rows } = await client.query(hasMigrations(schema))
  if (rows[0]?.done == null) return 0
  return whole((await client.query(lastMigration(schema))).rows[0]?.number)
}

class PostgresStore implements SessionStore {
  readonly name = 'postgres'

  readonly #link: PostgresLink
  readonly #schema: string
  readonly #listen: (() => PostgresListener) | undefined
  readonly #sql: Statements
  readonly #read: PreparedStatement
  readonly #reads: SharedReads<SessionRecord>
  /** Where the walk over the blocks goes on. */
  #nextBlock = 0
  /** Where that over the index of absolute ends does: before it there is nothing left to delete. */
  #expiredBefore = 0

  constructor(link: PostgresLink, schema: string, listen: (() => PostgresListener) | undefined) {
    this.#link = link
    this.#schema = schema
    this.#listen = listen
    this.#sql = statementsFor(schema)
    this.#read = prepared(this.#sql.read)
    this.#reads = new SharedReads(ids => this.#readAll(ids))
  }

  read(id: string): Promise<SessionRecord | undefined> {
    return this.#reads.read(id)
  }

  async #readAll(ids: readonly string[]): Promise<Found<SessionRecord>> {
    const { rows } = await this.#link.askPrepared('read', this.#read, [ids])
    const byId = new Map(rows.map(row => [row.id, row]))
    return id => {
      const row = byId.get(id)
      return row && toRecord(row)
    }
  }

  async create(record: SessionRecord, forgetAt: number): Promise<'created' | 'taken' | 'refused'> {
    const row = toRow(record, forgetAt)
    const { rowCount } = await this.#underLockOf(record.userId, 'create', this.#sql.insert, row)
    if (rowCount === 1) return 'created'
    return (await this.#ask('exists', record.id)).rows.length > 0 ? 'taken' : 'refused'
  }

  async replace(record: SessionRecord, forgetAt: number): Promise<'saved' | 'conflict' | 'gone' | 'refused'> {
    const row = toRow(record, forgetAt)
    const [saved] = (await this.#ask('save', ...row)).rows
    if (saved) return this.#flushed(saved)
    const judgement = await this.#judge(record)
    if (judgement === 'repeated') return this.#flushed()
    if (judgement !== 'write') return judgement
    // Somebody else signs in by it, or nobody any more.
    const [signedIn] = (await this.#underLockOf(record.userId, 'replace', this.#sql.saveAsAnother, row)).rows
    return signedIn ? this.#flushed(signedIn) : this.#afterLostRace(record)
  }

  async touch(id: string, lastSeenAt: number, forgetAt: number): Promise<void> {
    await this.#ask('touch', id, lastSeenAt, forgetAt)
  }

  async delete(id: string, userId?: string): Promise<boolean> {
    const [row] = (await this.#ask('delete', id, userId ?? null)).rows
    await this.#flushed(row)
    return row?.live === true
  }

  async listByUser(userId: string, limit: number): Promise<readonly SessionRecord[]> {
    return (await this.#ask('listByUser', userId, limit)).rows.map(toRecord)
  }

  async marks(userId: string | null): Promise<Marks> {
    const marks = marksOf((await this.#ask('marks', userId)).rows[0])
    if (marks.generation !== '') return marks
    await this.#makeGeneration()
    return marksOf((await this.#ask('marks', userId)).rows[0])
  }

  async revokeUser(userId: string, except?: string): Promise<readonly string[]> {
    const revoke = async (client: PostgresClient) => {
      await client.query(this.#sql.setEpoch, [userId, randomText(MARK_BYTES)])
      return (await client.query(this.#sql.deleteOfUser, [userId, except ?? null])).rows
    }
    const limitMs = MANY_ROWS * this.#link.timeoutMs
    const ended = await this.#link.inTransaction('revokeUser', this.#lockOf(userId), revoke, limitMs)
    // Without any, its epoch was committed as ever, and flushed what a first try may have left.
    if (ended[0]) await this.#flushed(ended[0])
    return ended.filter(row => row.live === true).map(row => text(row.id))
  }

  revokeEveryone(except?: string): Promise<void> {
    return this.#link.inTransaction('revokeEveryone', undefined, async client => {
      const generation = randomText(MARK_BYTES)
      const { rows } = await client.query(this.#sql.lockGeneration)
      const old = rows[0]?.value
      if (except !== undefined && old !== undefined) await client.query(this.#sql.carryOver, [except, old, generation])
      await client.query(this.#sql.setGeneration, [generation])
    })
  }

  async scan(after: string | null, limit: number): Promise<ScanPage> {
    const { rows } = await this.#ask('scan', after ?? '', limit)
    const last = rows.length < limit ? undefined : rows.at(-1)
    return { records: rows.filter(row => row.live === true).map(toRecord), next: last === undefined ? null : text(last.id) }
  }

  /** In batches, and beside other pruners: what one of them has in hand, the others pass over. */
  async prune(before: number, limit: number): Promise<number> {
    await this.#askLong('forgetEpochs', EPOCH_TTL_MS)
    await this.#askLong('unwatch')
    const expired = await inBatches(limit, batch => this.#pruneExpired(before, batch))
    return expired + (await this.#pruneIdle(before, limit - expired))
  }

  async #pruneExpired(before: number, batch: number): Promise<number> {
    const { rows } = await this.#askLong('pruneExpired', before, batch, this.#expiredBefore)
    const last = Math.max(...rows.map(row => Number(row.expires_at)))
    // At its end it begins anew: there may be some that others had in hand.
    this.#expiredBefore = rows.length === batch && Number.isSafeInteger(last) ? last : 0
    return rows.length
  }

  /** Goes on where the last call ended, round and round; a small table is walked through in one call. */
  async #pruneIdle(before: number, limit: number): Promise<number> {
    const blocks = whole((await this.#ask('countBlocks')).rows[0]?.blocks)
    let pruned = 0
    for (let walked = 0; walked < Math.min(blocks, MOST_BLOCKS) && pruned < limit; walked += RANGE_BLOCKS) {
      if (this.#nextBlock >= blocks) this.#nextBlock = 0
      const end = this.#nextBlock + RANGE_BLOCKS
      let from = this.#nextBlock
      pruned += await inBatches(limit - pruned, async batch => {
        const { rows } = await this.#askLong('pruneBlocks', before, batch, `(${from},0)`, `(${end},0)`)
        from = Math.max(from, ...rows.map(blockOf))
        return rows.length
      })
      if (pruned < limit) this.#nextBlock += RANGE_BLOCKS
    }
    return pruned
  }

  watch(changed: (id: string | null) => void): Promise<Watch> {
    return watchChanges(this.#link, { schema: this.#schema, sql: this.#sql, listen: this.#listen }, changed)
  }

  async #judge(record: SessionRecord): Promise<Judgement> {
    const row = (await this.#ask('judge', record.id, record.userId)).rows[0]
    return judgeReplace(row?.id == null ? undefined : toRecord(row), record, marksOf(row))
  }

  /** What changed between the judgement and the lock decides now; if that was undone again, the writer reads anew. */
  async #afterLostRace(record: SessionRecord): Promise<'saved' | 'conflict' | 'gone' | 'refused'> {
    const judgement = await this.#judge(record)
    if (judgement === 'repeated') return this.#flushed()
    return judgement === 'write' ? 'conflict' : judgement
  }

  /** Without a row: its first try may have landed, and its answer been lost before it was flushed. */
  async #flushed(row?: PostgresRow): Promise<'saved'> {
    if (row?.unflushed !== false) await this.#ask('flush')
    return 'saved'
  }

  /** In a transaction for its level: at a stricter one, all but one of those who begin at once would fail. */
  async #makeGeneration(): Promise<void> {
    const statement = this.#sql.firstGeneration
    await this.#link.inTransaction('marks', undefined, client => client.query(statement, [randomText(MARK_BYTES)]))
  }

  #underLockOf(userId: string | null, operation: string, statement: string, values: unknown[]): Promise<PostgresResult> {
    if (userId === null) return this.#link.ask(operation, statement, values)
    return this.#link.inTransaction(operation, this.#lockOf(userId), client => client.query(statement, values))
  }

  #lockOf(userId: string): bigint {
    return lockOf(this.#schema, `user ${userId}`)
  }

  #ask(name: keyof Statements, ...values: unknown[]): Promise<PostgresResult> {
    return this.#link.ask(name, this.#sql[name], values)
  }

  #askLong(name: keyof Statements, ...values: unknown[]): Promise<PostgresResult> {
    return this.#link.ask(name, this.#sql[name], values, MANY_ROWS * this.#link.timeoutMs)
  }
}

/** `(block,row)`. */
function blockOf({ ctid }: PostgresRow): number {
  return Number.parseInt(text(ctid).slice(1), 10)
}

/** Prunes in batches with rests between. */
async function inBatches(limit: number, prune: (batch: number) => Promise<number>): Promise<number> {
  let pruned = 0
  while (pruned < limit) {
    const batch = Math.min(PRUNE_BATCH, limit - pruned)
    const began = performance.now()
    const deleted = await prune(batch)
    pruned += deleted
    if (deleted < batch) break
    await sleep(PRUNE_RESTS * (performance.now() - began), undefined, { ref: false })
  }
  return pruned
}

/** Named by its text: behind a pooler one of the same name must be the same, whatever its schema and version. */
function prepared(text: string): PreparedStatement {
  return { name: `coatcheck_${sha256(text)}`, text }
}

function marksOf(row: PostgresRow | undefined): Marks {
  return { generation: textOrNull(row?.live_generation) ?? '', userEpoch: textOrNull(row?.live_epoch) ?? '' }
}

/** The number of an advisory lock. Two names of one number, ours or the application's, only wait for each other. */
function lockOf(schema: string, name: string): bigint {
  return createHash('sha256').update(`coatcheck\0${schema}\0${name}`).digest().readBigInt64BE()
}

function checkedPool(pool: PostgresPool): PostgresPool {
  if (typeof pool?.connect === 'function') return pool
  throw new CoatcheckError('BAD_OPTION', 'postgresStore needs a pool with connect(): new Pool(…) of the package pg.')
}

function checkedListen(listen: (() => PostgresListener) | undefined): (() => PostgresListener) | undefined {
  if (listen === undefined || typeof listen === 'function') return listen
  throw new CoatcheckError('BAD_OPTION', 'postgresStore: listen must be a function that gives a client: () => new Client(url).')
}

/** It becomes a part of the statements' text, so nothing that would need escaping is let in. */
function checkedSchema(schema: unknown = 'coatcheck'): string {
  if (typeof schema === 'string' && /^[a-z_][a-z0-9_]{0,62}$/.test(schema)) return schema
  throw new CoatcheckError(
    'BAD_OPTION',
    'postgres: schema must be a name of at most 63 small letters, digits and underscores that does not begin with a digit.',
  )
}
