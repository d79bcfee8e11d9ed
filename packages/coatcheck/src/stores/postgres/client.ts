import { isCoatcheckError } from '../../core/errors.ts'
import { postgresFailure } from './errors.ts'

export type PostgresRow = Readonly<Record<string, unknown>>

/** What a statement gives: the part of `pg`'s answer that we read. */
export interface PostgresResult {
  readonly rows: PostgresRow[]
  readonly rowCount: number | null
}

/** A `pg` pool, or anything with these two methods of its own. */
export interface PostgresPool {
  query(text: string, values?: unknown[]): Promise<PostgresResult>
  connect(): Promise<PostgresClient>
}

/** One connection out of the pool. */
export interface PostgresClient {
  query(text: string, values?: unknown[]): Promise<PostgresResult>
  /** With true the connection is thrown away. */
  release(destroy?: boolean): void
  on(event: 'error', listener: (error: Error) => void): unknown
  removeListener(event: 'error', listener: (error: Error) => void): unknown
}

/** Rows of one statement, alone. */
export async function ask(pool: PostgresPool, operation: string, text: string, values: unknown[]): Promise<PostgresResult> {
  return guarded(operation, () => pool.query(text, values))
}

/**
 * Runs `act` in one transaction, under the advisory lock of this number, if one is given, until it ends.
 *
 * The level is named, whatever the server's default: the statements after the lock must see what its last holder wrote.
 * The number stands in the text because a query of several statements, which saves a round trip, takes no parameters.
 */
export function inTransaction<T>(
  pool: PostgresPool,
  operation: string,
  lock: bigint | undefined,
  act: (client: PostgresClient) => Promise<T>,
): Promise<T> {
  return guarded(operation, async () => {
    const client = await pool.connect()
    // Without a listener a connection that breaks would end the process; the query that it breaks fails by itself.
    client.on('error', ignored)
    let broken = true
    try {
      const locking = lock === undefined ? '' : `; SELECT pg_advisory_xact_lock(${lock})`
      await client.query(`BEGIN ISOLATION LEVEL READ COMMITTED${locking}`)
      const result = await act(client)
      await client.query('COMMIT')
      broken = false
      return result
    } catch (error) {
      broken = !(await rolledBack(client))
      throw error
    } finally {
      client.removeListener('error', ignored)
      client.release(broken)
    }
  })
}

async function rolledBack(client: PostgresClient): Promise<boolean> {
  return client.query('ROLLBACK').then(
    () => true,
    () => false,
  )
}

function ignored(): void {}

async function guarded<T>(operation: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    throw isCoatcheckError(error) ? error : postgresFailure(operation, error)
  }
}
