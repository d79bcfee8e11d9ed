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
