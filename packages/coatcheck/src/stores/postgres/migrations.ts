/** One step of the tables' history. */
export interface Migration {
  /** From 1 on, without a gap. */
  readonly number: number
  /** To be run in one transaction; notes its own number. */
  readonly sql: string
}

/**
 * Append only: what has been released is never changed.
 *
 * 1. `last_seen_at` and `forget_at` stand in no index, so that a touch changes none: with the room that the fillfactor
 *    leaves on each page, it stays on it (a HOT update). Data is text and no jsonb, which would rewrite it.
 * 2. Changes are told by the tables themselves, so that no writer can forget to: another version of this program, or a
 *    person at a prompt. Only where the mark `watched` stands, since a NOTIFY makes commits wait for each other; and not
 *    for touches and prunes. Each statement in a function looks anew where the level is read committed; at other levels
 *    it may look at what was there long ago, so all is told. ALWAYS: also where a subscription applies the changes.
 */
const STEPS: readonly ((schema: string) => string)[] = [
  schema => `
DO $$ BEGIN
  IF to_regnamespace('"${schema}"') IS NULL THEN CREATE SCHEMA "${schema}"; END IF;
END $$;
CREATE TABLE "${schema}".migrations (number int PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE "${schema}".sessions (
  id text COLLATE "C" PRIMARY KEY,
  version int NOT NULL,
  token_hash text NOT NULL,
  user_id text COLLATE "C",
  user_epoch text NOT NULL,
  generation text COLLATE "C" NOT NULL,
  created_at bigint NOT NULL,
  authenticated_at bigint,
  last_seen_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  remember boolean NOT NULL,
  ip text,
  user_agent text,
  data text NOT NULL,
  forget_at bigint NOT NULL
) WITH (fillfactor = 85);
CREATE INDEX sessions_user ON "${schema}".sessions (user_id, created_at) WHERE user_id IS NOT NULL;
CREATE INDEX sessions_expires ON "${schema}".sessions (expires_at);
CREATE TABLE "${schema}".marks (name text COLLATE "C" PRIMARY KEY, value text COLLATE "C" NOT NULL);
CREATE TABLE "${schema}".epochs (user_id text COLLATE "C" PRIMARY KEY, epoch text NOT NULL, set_at bigint NOT NULL);
CREATE INDEX epochs_set_at ON "${schema}".epochs (set_at);`,
  schema => `
CREATE FUNCTION "${schema}".tell_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed'
    OR EXISTS (SELECT FROM "${schema}".marks WHERE name = 'watched')
  THEN PERFORM pg_notify('${schema}', 'session ' || OLD.id); END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION "${schema}".tell_everything() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN PERFORM pg_notify('${schema}', 'everything');
  ELSIF 'generation' IN (OLD.name, NEW.name) THEN PERFORM pg_notify('${schema}', 'everything'); END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER told_change AFTER UPDATE OF id, version, token_hash, user_id, user_epoch, generation, created_at,
  authenticated_at, expires_at, remember, ip, user_agent, data ON "${schema}".sessions
  FOR EACH ROW EXECUTE FUNCTION "${schema}".tell_session();
CREATE TRIGGER told_end AFTER DELETE ON "${schema}".sessions
  FOR EACH ROW WHEN (current_setting('coatcheck.prunes', true) IS DISTINCT FROM 'on')
  EXECUTE FUNCTION "${schema}".tell_session();
CREATE TRIGGER told_truncation AFTER TRUNCATE ON "${schema}".sessions
  FOR EACH STATEMENT EXECUTE FUNCTION "${schema}".tell_everything();
CREATE TRIGGER told_generation AFTER INSERT OR UPDATE OR DELETE ON "${schema}".marks
  FOR EACH ROW EXECUTE FUNCTION "${schema}".tell_everything();
CREATE TRIGGER told_no_marks AFTER TRUNCATE ON "${schema}".marks
  FOR EACH STATEMENT EXECUTE FUNCTION "${schema}".tell_everything();
ALTER TABLE "${schema}".sessions ENABLE ALWAYS TRIGGER told_change;
ALTER TABLE "${schema}".sessions ENABLE ALWAYS TRIGGER told_end;
ALTER TABLE "${schema}".sessions ENABLE ALWAYS TRIGGER told_truncation;
ALTER TABLE "${schema}".marks ENABLE ALWAYS TRIGGER told_generation;
ALTER TABLE "${schema}".marks ENABLE ALWAYS TRIGGER told_no_marks;`,
]

/** All steps for the tables of this schema, whose name has been checked. */
export function migrationsFor(schema: string): readonly Migration[] {
  return STEPS.map((step, i) => {
    const number = i + 1
    const note = `INSERT INTO "${schema}".migrations (number) VALUES (${number});`
    return { number, sql: `-- Coatcheck, step ${number}\n${step(schema).trim()}\n${note}\n` }
  })
}

/** → done: the migrations' table, null if there is none yet. */
export const hasMigrations = (schema: string) => `SELECT to_regclass('"${schema}".migrations') AS done`

/** → number: the last step that was taken. */
export const lastMigration = (schema: string) => `SELECT coalesce(max(number), 0) AS number FROM "${schema}".migrations`
