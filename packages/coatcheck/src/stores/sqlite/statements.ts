/**
 * Every statement that the SQLite store runs, one each. Parameters are named; what comes back stands above the constant.
 *
 * A record of another generation than the mark in `coatcheck_marks` is dead, so each reader compares the two in the same
 * statement: between two statements another process may have revoked everyone and carried this very session over.
 */

/** Raised when the tables change; an older Coatcheck then refuses the file instead of misreading it. */
export const FORMAT = '1'

const COLUMNS = [
  'id',
  'version',
  'token_hash',
  'user_id',
  'user_epoch',
  'generation',
  'created_at',
  'authenticated_at',
  'last_seen_at',
  'expires_at',
  'remember',
  'ip',
  'user_agent',
  'data',
  'forget_at',
] as const

/** The tables, and the columns by which ours are told from another application's of the same name. */
export const TABLES: Readonly<Record<string, readonly string[]>> = {
  coatcheck_sessions: COLUMNS,
  coatcheck_marks: ['name', 'value'],
  coatcheck_epochs: ['user_id', 'epoch', 'set_at'],
}

/**
 * `forget_at` is indexed behind `generation`, so that one index finds both what ran out and what is left of dead
 * generations.
 */
export const CREATE_TABLES = `
  CREATE TABLE IF NOT EXISTS coatcheck_sessions (
    id TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    token_hash TEXT NOT NULL,
    user_id TEXT,
    user_epoch TEXT NOT NULL,
    generation TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    authenticated_at INTEGER,
    last_seen_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    remember INTEGER NOT NULL,
    ip TEXT,
    user_agent TEXT,
    data TEXT NOT NULL,
    forget_at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS coatcheck_sessions_user ON coatcheck_sessions (user_id, created_at) WHERE user_id IS NOT NULL;
  CREATE INDEX IF NOT EXISTS coatcheck_sessions_forget ON coatcheck_sessions (generation, forget_at);
  CREATE TABLE IF NOT EXISTS coatcheck_marks (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS coatcheck_epochs (
    user_id TEXT PRIMARY KEY NOT NULL,
    epoch TEXT NOT NULL,
    set_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS coatcheck_epochs_set_at ON coatcheck_epochs (set_at);
`

/** $table → name: one row per column. */
export const COLUMNS_OF = 'SELECT name FROM pragma_table_info($table)'

/** → data_version: changes whenever another connection, of any process, has committed; never by our own writes. */
export const DATA_VERSION = 'PRAGMA data_version'

const LIVE = "(SELECT value FROM coatcheck_marks WHERE name = 'generation')"

/** $id → the record's columns, if it is of the current generation. */
export const READ = `SELECT ${COLUMNS.join(', ')} FROM coatcheck_sessions WHERE id = $id AND generation = ${LIVE}`

/** $id → one row if the id is in use, dead or alive. */
export const EXISTS = 'SELECT 1 FROM coatcheck_sessions WHERE id = $id'

/** All columns. */
export const INSERT = `INSERT INTO coatcheck_sessions (${COLUMNS.join(', ')}) VALUES (${COLUMNS.map(column => `$${column}`).join(', ')})`

/**
 * All columns. Whoever runs it has judged the stored record under the same lock. The id is not assigned to itself: that
 * would write its index anew.
 */
export const UPDATE = `
  UPDATE coatcheck_sessions SET ${COLUMNS.slice(1).map(assignment).join(', ')} WHERE id = $id`

function assignment(column: string): string {
  const raisedOnly = column === 'last_seen_at' || column === 'forget_at'
  return raisedOnly ? `${column} = max(${column}, $${column})` : `${column} = $${column}`
}

/** $id, $last_seen_at, $forget_at. */
export const TOUCH = `
  UPDATE coatcheck_sessions SET last_seen_at = $last_seen_at, forget_at = max(forget_at, $forget_at)
  WHERE id = $id AND last_seen_at < $last_seen_at`

/** $id, $user_id (null: whosever) → live: 1 if it was of the current generation. */
export const DELETE = `
  DELETE FROM coatcheck_sessions WHERE id = $id AND ($user_id IS NULL OR user_id = $user_id)
  RETURNING generation = ${LIVE} AS live`

/** $user_id, $limit → the records' columns, newest first. */
export const LIST_BY_USER = `
  SELECT ${COLUMNS.join(', ')} FROM coatcheck_sessions
  WHERE user_id = $user_id AND generation = ${LIVE}
  ORDER BY created_at DESC LIMIT $limit`

/** $after, $limit → the records' columns and live, in the order of ids. The dead take their places in the page's limit. */
export const SCAN = `
  SELECT ${COLUMNS.join(', ')}, generation = ${LIVE} AS live FROM coatcheck_sessions
  WHERE id > $after ORDER BY id LIMIT $limit`

/** $user_id (null: nobody) → generation, epoch; each null if there is none. */
export const MARKS = `
  SELECT ${LIVE} AS generation, (SELECT epoch FROM coatcheck_epochs WHERE user_id = $user_id) AS epoch`

/** $name, $value. */
export const ADD_MARK = 'INSERT INTO coatcheck_marks (name, value) VALUES ($name, $value) ON CONFLICT (name) DO NOTHING'

/** $name → value. */
export const READ_MARK = 'SELECT value FROM coatcheck_marks WHERE name = $name'

/** $user_id, $epoch, $set_at. */
export const SET_EPOCH = `
  INSERT INTO coatcheck_epochs (user_id, epoch, set_at) VALUES ($user_id, $epoch, $set_at)
  ON CONFLICT (user_id) DO UPDATE SET epoch = excluded.epoch, set_at = excluded.set_at`

/** $before. */
export const FORGET_EPOCHS = 'DELETE FROM coatcheck_epochs WHERE set_at < $before'

/** $user_id, $except (null: none) → id, live. */
export const DELETE_OF_USER = `
  DELETE FROM coatcheck_sessions WHERE user_id = $user_id AND id IS NOT $except
  RETURNING id, generation = ${LIVE} AS live`

/** $id, $generation. Run before SET_GENERATION, while the old generation is still the current one. */
export const CARRY_OVER = `
  UPDATE coatcheck_sessions SET generation = $generation, version = version + 1 WHERE id = $id AND generation = ${LIVE}`

/** $generation. */
export const SET_GENERATION = `
  INSERT INTO coatcheck_marks (name, value) VALUES ('generation', $generation)
  ON CONFLICT (name) DO UPDATE SET value = excluded.value`

/** $before, $limit → id. */
export const PRUNE_FORGOTTEN = `
  DELETE FROM coatcheck_sessions WHERE rowid IN (
    SELECT rowid FROM coatcheck_sessions WHERE generation = ${LIVE} AND forget_at < $before LIMIT $limit
  ) RETURNING id`

/** $limit → id. Two ranges, because an index cannot serve "unequal". */
export const PRUNE_DEAD = `
  DELETE FROM coatcheck_sessions WHERE rowid IN (
    SELECT rowid FROM coatcheck_sessions WHERE generation < ${LIVE}
    UNION ALL
    SELECT rowid FROM coatcheck_sessions WHERE generation > ${LIVE}
    LIMIT $limit
  ) RETURNING id`
