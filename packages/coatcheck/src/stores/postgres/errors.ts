import { CoatcheckError, type ErrorCode } from '../../core/errors.ts'

const READ_ONLY =
  'takes no writes here: it is a read-only replica, or the role is read-only. Connect the pool to the primary: a replica’s reads would lag behind revocations.'

/** By SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html), by its first two characters, or by Node's code. */
const REMEDY: Readonly<Record<string, string>> = {
  '28P01': 'refused the password. Look at the user and password that the pool was made with.',
  28000: 'refused the user. Look at the pool’s user, and at pg_hba.conf on the server.',
  '3D000': 'has no such database. Look at the database that the pool was made with.',
  '42P01': 'has no session tables here. Run migrate(pool) once, or what migrations() prints; or look at the database and schema.',
  '3F000': 'has no such schema. Run migrate(pool) once, or what migrations() prints; or look at the database and schema.',
  42501: 'denies this role a right. It needs USAGE on the schema and SELECT, INSERT, UPDATE, DELETE on its tables.',
  25006: READ_ONLY,
  // Our own division: see WRITABLE in statements.ts.
  22012: READ_ONLY,
  53300: 'has no connection left. Lower the pools’ max, or raise max_connections.',
  '25P03': 'ended a transaction that this process left open for too long: it was frozen, or overloaded. Nothing of it remains.',
  '57P01': 'is shutting down, or ended this connection. The pool connects anew by itself.',
  '57P03': 'is starting or stopping. It is asked again by the next request.',
  57014: 'gave the statement up after its time limit (statement_timeout), or somebody cancelled it.',
  '55P03': 'waited too long for a lock (lock_timeout). Look for a transaction that is left open.',
  '22P05': 'cannot keep this text: its database has another encoding. Make the database with ENCODING UTF8.',
  '08': 'lost the connection. The pool connects anew by itself.',
  40: 'gave up a transaction that collided with another one. Leave default_transaction_isolation at read committed.',
  53: 'is out of memory, disk or another resource.',
  54000:
    'has no room in its queue of notices: a connection that listens takes none. Look for it in pg_stat_activity, and end it.',
  ECONNREFUSED: 'does not listen there. Look at the host and port that the pool was made with, and whether the server runs.',
  ENOTFOUND: 'has a host name that nobody knows. Look at the host that the pool was made with.',
  EAI_AGAIN: 'has a host name that cannot be looked up now. Look at the host that the pool was made with, and at the DNS.',
  ETIMEDOUT: 'does not answer. Look at the host and port, and at what stands between.',
  ECONNRESET: 'lost the connection. The pool connects anew by itself.',
}

/**
 * With these a statement fails before it commits, and is rolled back whole: a full disk or memory, a read-only server, a
 * collision, a limit of time. Not here: a connection that is ended (57P01), which may come between the commit and its answer.
 * Nor does it hold of `flush`, which follows a write that has committed.
 */
const NOT_DONE = /^(53|40001|40P01|25006|22012|55P03|57014)/

/** What shows that a table is not ours. */
const FOREIGN: Readonly<Record<string, string>> = {
  42703:
    'has a table of ours with other columns: another application’s, or of another version. Run migrate(pool), or give Coatcheck a schema of its own.',
  42804: 'has a table of ours with columns of other types: another application’s. Give Coatcheck a schema of its own.',
  42883: 'has a table of ours with columns of other types: another application’s. Give Coatcheck a schema of its own.',
  '42P07': 'has tables of these names already, which Coatcheck did not make. Give it a schema of its own.',
}

/** The driver's error as ours. Its own text, which may show what was written, stays in the cause. */
export function postgresFailure(operation: string, error: unknown): CoatcheckError {
  const state = codeOf(error)
  const foreign = FOREIGN[state]
  const remedy = foreign ?? REMEDY[state] ?? REMEDY[state.slice(0, 2)] ?? unknownReason(state)
  const code: ErrorCode = foreign === undefined ? 'STORE_UNAVAILABLE' : 'FOREIGN_RECORD'
  const notDone = operation !== 'flush' && NOT_DONE.test(state)
  return new CoatcheckError(code, `The session store’s ${operation} failed: Postgres ${remedy}`, { cause: error, notDone })
}

/** There is none of this name there, or one already, or its plan is no longer good: nothing has run. */
const UNPREPARED: readonly string[] = ['26000', '42P05', '0A000']

/** True for a failure that only a prepared statement can have. */
export function isUnprepared(error: unknown): boolean {
  return error instanceof CoatcheckError && UNPREPARED.includes(codeOf(error.cause))
}

/** A statement that took too long. */
export function postgresLate(ms: number): CoatcheckError {
  return new CoatcheckError(
    'STORE_UNAVAILABLE',
    `Postgres did not answer within ${ms} ms (see timeoutMs), and its connection was thrown away. What was asked may still be carried out. Look at the server’s load and locks, and at what stands between.`,
  )
}

/** No connection came in time. With 0: so many waits were given up already that this one was not begun. */
export function postgresWithoutConnection(ms: number): CoatcheckError {
  const when = ms === 0 ? 'for some time' : `within ${ms} ms (see timeoutMs)`
  return new CoatcheckError(
    'STORE_UNAVAILABLE',
    `The pool gave no connection to Postgres ${when}; nothing was asked. Either all are in use (raise the pool’s max, look for connections that are never released), or the server does not answer.`,
  )
}

function unknownReason(state: string): string {
  return state === '' ? 'did not answer; the cause says more.' : `failed with ${state}; the cause says more.`
}

/** A connection that was tried at several addresses fails with one error for each. */
function codeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0 && !('code' in error)) return codeOf(error.errors[0])
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
