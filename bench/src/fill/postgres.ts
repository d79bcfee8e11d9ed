import type { Pool } from 'pg'
import { ID_BYTES, type Plan, SPREAD_MS } from './plan.ts'

/** Rows of one statement. */
const BATCH = 250_000

const digest = (text: string) => `sha256(convert_to(${text}, 'UTF8'))`
const base64url = (bytes: string) => `translate(encode(${bytes}, 'base64'), '+/=', '-_')`
/** The id of the session of number `i`. */
export const ID = base64url(`substring(${digest("'s' || i")} FOR ${ID_BYTES})`)

/** What differs from the template's row, by column; `i` is the session's number, `t` the template. See `plan.ts`. */
function expressions({ people, deadEvery }: Plan): Readonly<Record<string, string>> {
  const userId = `'u' || lpad((i % ${people})::text, 8, '0')`
  const begun = `t.created_at - (i * 7919) % ${SPREAD_MS}`
  const ends = (column: string) => {
    const living = `t.${column} - (i * 7919) % ${SPREAD_MS}`
    return deadEvery === undefined ? living : `CASE WHEN i % ${deadEvery} = 0 THEN t.created_at - 86400000 ELSE ${living} END`
  }
  return {
    id: ID,
    token_hash: base64url(digest("'t' || i")),
    user_id: userId,
    data: `replace(t.data, t.user_id, ${userId})`,
    created_at: begun,
    authenticated_at: begun,
    last_seen_at: begun,
    expires_at: ends('expires_at'),
    forget_at: ends('forget_at'),
  }
}

/**
 * Fills the store's own table of this schema, made by its own migration: every index grows as in production, row by row in
 * no order.
 *
 * @param said called after each batch with the number of sessions so far
 */
export async function fillPostgres(pool: Pool, schema: string, plan: Plan, said?: (made: number) => void): Promise<void> {
  const columns = await columnsOf(pool, schema, 'sessions')
  const replaced = expressions(plan)
  const values = columns.map(column => replaced[column] ?? `t.${column}`)
  const statement = `
    INSERT INTO ${schema}.sessions (${columns.join(', ')}) SELECT ${values.join(', ')}
    FROM ${schema}.sessions t, generate_series($1::bigint, $2::bigint) i WHERE t.id = $3`
  for (let from = 0; from < plan.sessions; from += BATCH) {
    const to = Math.min(from + BATCH, plan.sessions)
    await pool.query(statement, [from, to - 1, plan.template.id])
    said?.(to)
  }
}

/** The names of a table's columns, in order. */
async function columnsOf(pool: Pool, schema: string, table: string): Promise<readonly string[]> {
  const { rows } = await pool.query(
    'SELECT column_name FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2 ORDER BY ordinal_position',
    [schema, table],
  )
  return rows.map(row => String(row.column_name))
}

/** Bytes of a table and of all its indexes. */
export async function sizeOf(pool: Pool, table: string): Promise<{ readonly table: number; readonly indexes: number }> {
  const { rows } = await pool.query('SELECT pg_table_size($1) AS "table", pg_indexes_size($1) AS indexes', [table])
  return { table: Number(rows[0].table), indexes: Number(rows[0].indexes) }
}
