import { isCoatcheckError } from '../../core/errors.ts'
import { isUnprepared, postgresFailure, postgresLate, postgresWithoutConnection } from './errors.ts'

export type PostgresRow = Readonly<Record<string, unknown>>

/** What a statement gives: the part of `pg`'s answer that we read. */
export interface PostgresResult {
  readonly rows: PostgresRow[]
  readonly rowCount: number | null
}

/** What `NOTIFY` tells a connection that listens. */
export interface PostgresNotification {
  readonly channel: string
  readonly payload?: string | undefined
}

/**
 * A `pg` pool, or anything with this method of its own. Its `query` would not let a statement be given up. Whose request it is
 * must not matter to it: reads of several share a statement.
 */
export interface PostgresPool {
  connect(): Promise<PostgresClient>
  /** Where the pool tells of a connection before anybody has it, we listen for its errors. */
  on?(event: 'connect', listener: (client: PostgresClient) => void): unknown
}

/** A statement that a connection parses once and keeps under its name. */
export interface PreparedStatement {
  readonly name: string
  readonly text: string
}

/** One connection: what a statement runs on. */
export interface PostgresConnection {
  query(text: string, values?: unknown[]): Promise<PostgresResult>
  query(statement: PreparedStatement & { values: unknown[] }): Promise<PostgresResult>
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'end', listener: () => void): unknown
  on(event: 'notification', listener: (notification: PostgresNotification) => void): unknown
  /** Whether the open connection alone keeps the process from ending. */
  ref?(): void
  unref?(): void
}

/** One connection out of the pool. */
export interface PostgresClient extends PostgresConnection {
  /** With true the connection is thrown away. */
  release(destroy?: boolean): void
  removeListener(event: 'error', listener: (error: Error) => void): unknown
}

/** A connection of its own to listen on, not connected yet: a `Client` of `pg`. */
export interface PostgresListener extends PostgresConnection {
  connect(): Promise<unknown>
  end(): Promise<unknown>
}

/** How long an act may take at most, from the wait for a connection on. */
interface Limit {
  readonly ms: number
  /** What it resolves to, or a failure when the time is over. */
  race<T>(act: Promise<T>): Promise<T>
  stop(): void
}

/** Waits for a connection that were given up and that the pool still has in its queue, at most. */
const MOST_FORSAKEN = 1000

/**
 * The pool, and a limit of our own on every wait: a pool alone may wait for a lost server, or for a free connection, as
 * long as it is away. A connection on which anything failed is thrown away, with whatever may still run on it.
 */
export class PostgresLink {
  readonly #pool: PostgresPool
  readonly timeoutMs: number
  #forsaken = 0
  #prepares = true

  constructor(pool: PostgresPool, timeoutMs: number) {
    this.#pool = pool
    this.timeoutMs = timeoutMs
    guardConnections(pool)
  }

  /** Rows of one statement, alone. */
  ask(operation: string, text: string, values: unknown[], limitMs: number = this.timeoutMs): Promise<PostgresResult> {
    return this.#use(operation, limitMs, client => client.query(text, values))
  }

  /**
   * As `ask`, for what is asked again and again: parsed and planned once for each connection, it costs the server half.
   *
   * A transaction pooler may lead to a connection that has never heard of the statement. Then nothing has run, it is asked
   * once more as a whole, and so is all that follows.
   */
  async askPrepared(operation: string, statement: PreparedStatement, values: unknown[]): Promise<PostgresResult> {
    if (!this.#prepares) return this.ask(operation, statement.text, values)
    try {
      return await this.#use(operation, this.timeoutMs, client => client.query({ ...statement, values }))
    } catch (error) {
      if (!isUnprepared(error)) throw error
      this.#prepares = false
      return this.ask(operation, statement.text, values)
    }
  }

  /**
   * Runs `act` in one transaction, under the advisory lock of this number, if one is given, until it ends.
   *
   * The level is named, whatever the server's default: the statements after the lock must see what its last holder wrote.
   * The limits are the server's too, so that a process that freezes in the middle does not keep the lock. The number
   * stands in the text because a query of several statements, which saves a round trip, takes no parameters.
   */
  inTransaction<T>(
    operation: string,
    lock: bigint | undefined,
    act: (client: PostgresClient) => Promise<T>,
    limitMs: number = this.timeoutMs,
  ): Promise<T> {
    const limits = `SET LOCAL statement_timeout = ${limitMs}; SET LOCAL idle_in_transaction_session_timeout = ${this.timeoutMs}`
    const locking = lock === undefined ? '' : `; SELECT pg_advisory_xact_lock(${lock})`
    return this.#use(operation, limitMs, async client => {
      await client.query(`BEGIN ISOLATION LEVEL READ COMMITTED; ${limits}${locking}`)
      const result = await act(client)
      await client.query('COMMIT')
      return result
    })
  }

  /** A connection out of the pool, for as long as its holder wants. */
  async take(): Promise<PostgresClient> {
    const limit = startLimit(this.timeoutMs)
    try {
      return await this.#connect(limit)
    } finally {
      limit.stop()
    }
  }

  async #use<T>(operation: string, limitMs: number, act: (client: PostgresClient) => Promise<T>): Promise<T> {
    const limit = startLimit(limitMs)
    try {
      return await onClient(await this.#connect(limit), limit, act)
    } catch (error) {
      throw typed(operation, error)
    } finally {
      limit.stop()
    }
  }

  async #connect(limit: Limit): Promise<PostgresClient> {
    // The pool's queue has no end of its own; while it does not move, nothing more is put into it.
    if (this.#forsaken >= MOST_FORSAKEN) throw postgresWithoutConnection(0)
    const connecting = this.#pool.connect()
    try {
      return await limit.race(connecting)
    } catch (error) {
      this.#forsake(connecting)
      throw error === LATE ? postgresWithoutConnection(limit.ms) : error
    }
  }

  /** A pool takes no wait back: what it gives later goes back to it. */
  #forsake(connecting: Promise<PostgresClient>): void {
    this.#forsaken++
    connecting
      .then(client => client.release())
      .catch(ignored)
      .finally(() => this.#forsaken--)
  }
}

const guarded = new WeakSet<PostgresPool>()

/**
 * An error without a listener ends the process, and who asked a pool for a connection can listen only after it was handed
 * over: too late where the server ends it in the packet that opens it. Once for each pool, however many stores it has.
 */
function guardConnections(pool: PostgresPool): void {
  if (guarded.has(pool)) return
  guarded.add(pool)
  pool.on?.('connect', client => client.on('error', ignored))
}

async function onClient<T>(client: PostgresClient, limit: Limit, act: (client: PostgresClient) => Promise<T>): Promise<T> {
  // Without a listener a connection that breaks would end the process; the query that it breaks fails by itself.
  client.on('error', ignored)
  let broken = true
  try {
    const result = await limit.race(act(client))
    broken = false
    return result
  } catch (error) {
    throw error === LATE ? postgresLate(limit.ms) : error
  } finally {
    client.removeListener('error', ignored)
    client.release(broken)
  }
}

const LATE = Symbol('late')

function startLimit(ms: number): Limit {
  const late = Promise.withResolvers<never>()
  // What comes after the end of the act concerns nobody.
  late.promise.catch(ignored)
  const timer = setTimeout(() => late.reject(LATE), ms).unref()
  return { ms, race: act => Promise.race([act, late.promise]), stop: () => clearTimeout(timer) }
}

/** Within the time, or a failure; `act` may still come to something, which is ignored. */
export async function within<T>(ms: number, act: Promise<T>): Promise<T> {
  const limit = startLimit(ms)
  try {
    return await limit.race(act)
  } catch (error) {
    throw error === LATE ? postgresLate(ms) : error
  } finally {
    limit.stop()
  }
}

export function typed(operation: string, error: unknown): Error {
  return isCoatcheckError(error) ? error : postgresFailure(operation, error)
}

function ignored(): void {}
