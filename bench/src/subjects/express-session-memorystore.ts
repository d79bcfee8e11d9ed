import session from 'express-session'
import createMemoryStore from 'memorystore'
import { LIFETIME_MS } from '../apps/data.ts'
import { expressSessionApp } from '../apps/express-session-app.ts'
import { signInAll } from '../apps/sign-in.ts'
import type { StartSubject } from '../subject.ts'

export const start: StartSubject = async users => {
  const MemoryStore = createMemoryStore(session)
  const store = new MemoryStore({ checkPeriod: LIFETIME_MS })
  const listener = expressSessionApp(store)
  return { listener, signedIn: await signInAll(listener, users), close: async () => store.stopInterval() }
}
