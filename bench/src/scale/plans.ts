import type { PostgresPool, PreparedStatement } from 'coatcheck/postgres'
import type { Pool, PoolClient } from 'pg'

/** How Postgres finds the sessions of one statement. */
export interface PlanOf {
  readonly operation: string
  /** Each node that reads the table: `Index Scan (sessions_pkey)`. */
  readonly scans: readonly string[]
}

/** What we read of a node of `EXPLAIN (FORMAT JSON)`. */
interface PlanNode {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly 'Index Name'?: string
  readonly Plans?: readonly PlanNode[]
}

/** A pool that asks for the plan of each statement on the sessions before it runs it, with the values that it has. */
export function explaining(pool: Pool): { readonly pool: PostgresPool; takePlans(operation: string): PlanOf } {
  const nodes: PlanNode[] = []
  const query = async (client: PoolClient, text: string, values: unknown[] | undefined) => {
    if (values !== undefined) {
      const { rows } = await client.query(`EXPLAIN (FORMAT JSON) ${text}`, values)
      nodes.push(rows[0]['QUERY PLAN'][0].Plan)
    }
    return client.query(text, values)
  }
  const connect = async () => {
    const client = await pool.connect()
    return new Proxy(client, {
      get(target, key) {
        if (key === 'query') return (...args: Asked) => query(target, ...textOf(args))
        const value: unknown = Reflect.get(target, key)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }
  return { pool: { connect }, takePlans: operation => ({ operation, scans: [...new Set(nodes.splice(0).flatMap(scansOf))] }) }
}

/** A statement by itself, or one that is to be prepared. */
type Asked = [text: string, values?: unknown[]] | [statement: PreparedStatement & { values: unknown[] }]

function textOf([statement, values]: Asked): [text: string, values: unknown[] | undefined] {
  return typeof statement === 'string' ? [statement, values] : [statement.text, statement.values]
}

/** Bitmaps are found by the index below them. */
function scansOf(node: PlanNode): readonly string[] {
  const below = (node.Plans ?? []).flatMap(scansOf)
  const { 'Node Type': type, 'Relation Name': relation, 'Index Name': index } = node
  if (!/Scan/.test(type) || (relation !== undefined && relation !== 'sessions')) return below
  if (relation === undefined && !index?.startsWith('sessions')) return below
  return [...below, index === undefined ? type : `${type} (${index})`]
}

/** True if no statement reads through the whole table. */
export function usesIndexes(plans: readonly PlanOf[]): boolean {
  return plans.every(({ scans }) => scans.length > 0 && !scans.some(scan => /Seq Scan/.test(scan)))
}
