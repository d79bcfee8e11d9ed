import connectPgSimple from 'connect-pg-simple'
import session from 'express-session'
import { expressSessionApp } from '../apps/express-session-app.ts'
import { postgresPool } from '../apps/shared-stores.ts'
import { signInAll } from '../apps/sign-in.ts'
import type { StartSubject } from '../subject.ts'

export const start: StartSubject = async users => {
  const pool = postgresPool()
  const PgStore = connectPgSimple(session)
  const store = new PgStore({ pool, createTableIfMissing: true })
  const listener = expressSessionApp(store)
  const signedIn = await signInAll(listener, users)
  const close = () => {
    store.close()
    return pool.end()
  }
  return { listener, signedIn, close }
}
