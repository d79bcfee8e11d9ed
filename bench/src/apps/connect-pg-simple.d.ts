/** The small part of connect-pg-simple that the bench calls. Its published types bring express-session's, see there. */
declare module 'connect-pg-simple' {
  import type { MemoryStore, Session } from 'express-session'
  import type { Pool } from 'pg'

  interface PgStore extends MemoryStore {
    close(): void
  }

  export default function connectPgSimple(
    session: Session,
  ): new (options: {
    pool: Pool
    createTableIfMissing: boolean
  }) => PgStore
}
