import session from 'express-session'
import { expressSessionApp } from '../apps/express-session-app.ts'
import { signInAll } from '../apps/sign-in.ts'
import type { StartSubject } from '../subject.ts'

export const start: StartSubject = async users => {
  const listener = expressSessionApp(new session.MemoryStore())
  return { listener, signedIn: await signInAll(listener, users) }
}
