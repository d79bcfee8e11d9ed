/**
 * The small part of express-session that the bench calls. Its published types claim `req.session` for the whole program,
 * which ours claims too (in a program of its own that is a choice; here both live in one type check).
 */
declare module 'express-session' {
  import type { RequestHandler } from 'express'

  type Done = (error: unknown, session?: unknown) => void

  class MemoryStore {
    get(id: string, done: Done): void
    set(id: string, session: object, done: Done): void
    touch(id: string, session: object, done: Done): void
    destroy(id: string, done: Done): void
  }

  interface Options {
    secret: string
    resave: boolean
    saveUninitialized: boolean
    rolling?: boolean
    cookie?: { maxAge?: number }
    store?: MemoryStore
  }

  interface Session {
    (options: Options): RequestHandler
    MemoryStore: typeof MemoryStore
  }

  const session: Session

  export { MemoryStore, type Session }
  export default session
}
