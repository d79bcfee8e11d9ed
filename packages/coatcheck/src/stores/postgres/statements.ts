/**
 * Every statement that the Postgres store runs, one each, for the tables of one schema. Tables are always named with their
 * schema: no `search_path` can put another table in their place.
 *
 * A record of another generation than the mark is dead, so each reader compares the two in one statement: between two
 * statements another process may have revoked everyone and carried this very session over.
 *
 * A replica lags, and its answers are none: what must be the latest fails where the server takes no writes.
 */

/** A row's columns, with the types that their parameters are given. The order is that of `toRow`. */
const COLUMNS = [
  ['id', 'text'],
  ['version', 'int'],
  ['token_hash', 'text'],
  ['user_id', 'text'],
  ['user_epoch', 'text'],
  ['generation', 'text'],
  ['created_at', 'bigint'],
  ['authenticated_at', 'bigint'],
  ['last_seen_at', 'bigint'],
  ['expires_at', 'bigint'],
  ['remember', 'boolean'],
  ['ip', 'text'],
  ['user_agent', 'text'],
  ['data', 'text'],
  ['forget_at', 'bigint'],
] as const

const NAMES = COLUMNS.map(([name]) => name).join(', ')
const VALUES = COLUMNS.map(([, type], i) => `$${i + 1}::${type}`)
/** The id is not assigned to itself: that would write every index anew. */
const ASSIGNMENTS = COLUMNS.slice(1).map(([name], i) => assignment(name, VALUES[i + 1] as string))

function assignment(name: string, value: string): string {
  const raisedOnly = name === 'last_seen_at' || name === 'forget_at'
  return `${name} = ${raisedOnly ? `GREATEST(s.${name}, ${value})` : value}`
}

/** Divides by zero on a server that takes no writes, before any row is looked for. (A joined column took a quarter longer.) */
const WRITABLE = "1 / (current_setting('transaction_read_only') = 'off')::int = 1"

/** Triggers that tell of changes (see migrations.ts). */
const TRIGGERS = 5

/** Milliseconds on the database's clock, the only one that all processes share. */
const NOW = '(extract(epoch FROM clock_timestamp()) * 1000)::bigint'

export type Statements = ReturnType<typeof statementsFor>

/** The statements over the tables of this schema, whose name has been checked. */
export function statementsFor(schema: string) {
  const [sessions, marks, epochs] = ['sessions', 'marks', 'epochs'].map(table => `"${schema}".${table}`)
  const live = `(SELECT value FROM ${marks} WHERE name = 'generation')`
  /** Create's rule, over all columns as parameters. */
  const mayBegin = `$6::text = ${live}
    AND ($4::text IS NULL OR $5::text = coalesce((SELECT epoch FROM ${epochs} WHERE user_id = $4::text), ''))`
  /** The mark `watched` holds a word, and until when (milliseconds) it stands unless it is renewed. */
  const word = "split_part(m.value, ' ', 1)"
  const until = "split_part(m.value, ' ', 2)::bigint"
  /**
   * Where changes are told (see migrations.ts), commits stand in line for one lock; waiting for the disk with it in hand
   * would let one commit through per write of the disk. So they do not: `flush` waits, for all at once, before anyone is answered.
   */
  const unflushed = `CASE WHEN EXISTS (SELECT FROM ${marks} WHERE name = 'watched')
      THEN set_config('synchronous_commit', 'off', true) = 'off' ELSE true END`
  const isUnflushed = "current_setting('synchronous_commit') = 'off' AS unflushed"
  /** Rows of a prune, which need not be told. A row and the generation that it is compared with are of one moment. */
  const pruned = (where: string, limit: string) => `
    WITH untold AS MATERIALIZED (SELECT set_config('coatcheck.prunes', 'on', true) AS prunes)
    DELETE FROM ${sessions} WHERE (SELECT prunes FROM untold) = 'on' AND ctid = ANY (ARRAY(
      SELECT ctid FROM ${sessions} WHERE ${where} LIMIT ${limit} FOR UPDATE SKIP LOCKED
    ))`
  return {
    /**
     * ids → the columns of each record that is of the current generation. Each id is looked up by itself, or the planner
     * would at times read the table instead. The ids stand in a query of their own, so that their number changes no plan,
     * and one plan is kept.
     */
    read: `
      SELECT found.* FROM unnest((SELECT $1::text[])) AS asked(id) CROSS JOIN LATERAL (
        SELECT ${NAMES} FROM ${sessions} s WHERE s.id = asked.id AND generation = ${live} AND ${WRITABLE} LIMIT 1
      ) found`,

    /** id → one row if the id is in use, dead or alive. */
    exists: `SELECT 1 FROM ${sessions} WHERE id = $1`,

    /** id, user id (null: nobody) → the record's columns, dead or alive, each null if there is none; live_generation, live_epoch. */
    judge: `
      SELECT ${NAMES}, now.live_generation, now.live_epoch
      FROM (SELECT ${live} AS live_generation, (SELECT epoch FROM ${epochs} WHERE user_id = $2) AS live_epoch) now
      LEFT JOIN ${sessions} ON id = $1`,

    /** All columns → a row changed where it was created. With a user: under the user's lock. */
    insert: `
      INSERT INTO ${sessions} (${NAMES}) SELECT ${VALUES.join(', ')} WHERE ${mayBegin}
      ON CONFLICT (id) DO NOTHING`,

    /** All columns → unflushed, where the version was the one before, and nobody else signs in by it. */
    save: `
      UPDATE ${sessions} s SET ${ASSIGNMENTS.join(', ')}
      WHERE id = $1 AND version = $2::int - 1 AND generation = $6 AND generation = ${live}
        AND user_id IS NOT DISTINCT FROM $4::text AND ${unflushed}
      RETURNING ${isUnflushed}`,

    /** All columns → unflushed, where the version was the one before. Under the user's lock. */
    saveAsAnother: `
      UPDATE ${sessions} s SET ${ASSIGNMENTS.join(', ')}
      WHERE id = $1 AND version = $2::int - 1 AND generation = $6 AND ${mayBegin} AND ${unflushed}
      RETURNING ${isUnflushed}`,

    /** Waits until all that was committed before is where `synchronous_commit` wants it: its own record comes after. */
    flush: `SELECT pg_logical_emit_message(true, 'coatcheck', '')`,

    /** id, last_seen_at, forget_at. */
    touch: `
      UPDATE ${sessions} SET last_seen_at = $2::bigint, forget_at = GREATEST(forget_at, $3::bigint)
      WHERE id = $1 AND last_seen_at < $2::bigint`,

    /** id, user id (null: whosever) → live, unflushed. */
    delete: `
      DELETE FROM ${sessions} WHERE id = $1 AND ($2::text IS NULL OR user_id = $2::text) AND ${unflushed}
      RETURNING generation = ${live} AS live, ${isUnflushed}`,

    /** user id, limit → the records' columns, newest first. */
    listByUser: `
      SELECT ${NAMES} FROM ${sessions} WHERE user_id = $1 AND generation = ${live} AND ${WRITABLE}
      ORDER BY created_at DESC LIMIT $2`,

    /** after, limit → the records' columns and live, in the order of ids. The dead take their places in the page's limit. */
    scan: `
      SELECT ${NAMES}, generation = ${live} AS live FROM ${sessions}
      WHERE id > $1 AND ${WRITABLE} ORDER BY id LIMIT $2`,

    /** user id (null: nobody) → live_generation, live_epoch; each null if there is none. */
    marks: `
      SELECT ${live} AS live_generation, (SELECT epoch FROM ${epochs} WHERE user_id = $1) AS live_epoch WHERE ${WRITABLE}`,

    /** A generation, for where there is none. */
    firstGeneration: `INSERT INTO ${marks} (name, value) VALUES ('generation', $1) ON CONFLICT (name) DO NOTHING`,

    /** user id, epoch. Under the user's lock. */
    setEpoch: `
      INSERT INTO ${epochs} (user_id, epoch, set_at) VALUES ($1, $2, ${NOW})
      ON CONFLICT (user_id) DO UPDATE SET epoch = excluded.epoch, set_at = excluded.set_at`,

    /** user id, id to spare (null: none) → id, live, unflushed. Under the user's lock. */
    deleteOfUser: `
      DELETE FROM ${sessions} WHERE user_id = $1 AND id IS DISTINCT FROM $2::text AND ${unflushed}
      RETURNING id, generation = ${live} AS live, ${isUnflushed}`,

    /** → value. Whoever changes the generation holds it from here to the end of the transaction. */
    lockGeneration: `SELECT value FROM ${marks} WHERE name = 'generation' FOR UPDATE`,

    /** id, old generation, new generation. */
    carryOver: `UPDATE ${sessions} SET generation = $3, version = version + 1 WHERE id = $1 AND generation = $2`,

    /** A generation. */
    setGeneration: `
      INSERT INTO ${marks} (name, value) VALUES ('generation', $1)
      ON CONFLICT (name) DO UPDATE SET value = excluded.value`,

    /** How long an epoch is kept, in milliseconds. */
    forgetEpochs: `
      DELETE FROM ${epochs} WHERE user_id = ANY (ARRAY(
        SELECT user_id FROM ${epochs} WHERE set_at < ${NOW} - $1::bigint LIMIT 1000 FOR UPDATE SKIP LOCKED
      ))`,

    /**
     * before, limit, from → expires_at of each. In the order of its index, without which the planner reads the table where
     * many have expired; and from where the last batch ended, since what that has deleted is still in the index.
     */
    pruneExpired: `${pruned(
      'expires_at >= $3::bigint AND expires_at < $1::bigint AND forget_at < $1::bigint ORDER BY expires_at',
      '$2',
    )} RETURNING expires_at`,

    /**
     * before, limit, and a range of the table's blocks as tids → ctid of each: what idled out, and what is left of dead
     * generations. Found by reading the blocks, since an index on `forget_at` would have to be written by every touch.
     */
    pruneBlocks: `${pruned(
      `ctid >= $3::tid AND ctid < $4::tid AND (forget_at < $1::bigint OR generation <> ${live})`,
      '$2',
    )} RETURNING ctid`,

    /** → blocks. */
    countBlocks: `
      SELECT pg_relation_size('${sessions}'::regclass) / current_setting('block_size')::bigint AS blocks`,

    /** a word, milliseconds → word: the one that the mark has from now on, whoever set it. */
    watch: `
      INSERT INTO ${marks} AS m (name, value) VALUES ('watched', $1::text || ' ' || (${NOW} + $2::bigint))
      ON CONFLICT (name) DO UPDATE SET value = ${word} || ' ' || (${NOW} + $2::bigint)
      RETURNING ${word} AS word`,

    /** Ends the mark that nobody renewed. */
    unwatch: `DELETE FROM ${marks} m WHERE name = 'watched' AND ${until} < ${NOW}`,

    /** → writer: each transaction that is changing sessions, or is about to. */
    writers: `
      SELECT virtualtransaction AS writer FROM pg_locks
      WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND relation = '${sessions}'::regclass AND mode = 'RowExclusiveLock'`,

    /** channel, payload, word → one row if it was told; none if the mark is not that word any more, or a trigger not in force. */
    prove: `
      SELECT pg_notify($1, $2) FROM ${marks} m WHERE name = 'watched' AND ${word} = $3 AND ${TRIGGERS} = (
        SELECT count(*) FROM pg_trigger
        WHERE tgrelid IN ('${sessions}'::regclass, '${marks}'::regclass) AND tgname LIKE 'told%' AND tgenabled = 'A'
      )`,
  } as const
}
