import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** Takes the app's table of sessions away while `work` runs: the store then fails at every call. */
export async function withoutSessionStore(dataDir: string, work: () => Promise<void>): Promise<void> {
  const db = new DatabaseSync(join(dataDir, 'sessions.db'), { timeout: 5000 })
  const row = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE '%token_hash%'").get()
  const table = String(row?.name)
  db.exec(`ALTER TABLE ${table} RENAME TO taken_away`)
  try {
    await work()
  } finally {
    db.exec(`ALTER TABLE taken_away RENAME TO ${table}`)
    db.close()
  }
}
