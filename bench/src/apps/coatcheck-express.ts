import type { SessionStore, Sessions } from 'coatcheck'
import { session } from 'coatcheck/express'
import express, { type Express } from 'express'
import type { Subject } from '../subject.ts'
import { benchSessions } from './coatcheck-sessions.ts'
import { personalData } from './data.ts'
import { NEAR_CORNER, type SharedKind, sharedStore } from './shared-stores.ts'
import { signInAll } from './sign-in.ts'

/** An app on ours. */
export function coatcheckApp(sessions: Sessions): Express {
  const app = express()
  app.use(session(sessions))
  app.post('/login/:userId', async (req, res) => {
    await req.session.login(req.params.userId)
    // Not given to `login`, so that the response is held for a save: applications do change their sessions, and what that
    // leaves behind in compiled code is paid by every request after it.
    Object.assign(req.session, personalData(req.params.userId))
    res.json({ ok: true })
  })
  app.get('/me', (req, res) => res.json({ userId: req.session.userId }))
  return app
}

/** The app with everybody signed in. */
export async function coatcheckSubject(store: SessionStore, users: readonly string[]): Promise<Subject> {
  const listener = coatcheckApp(benchSessions(store))
  return { listener, signedIn: await signInAll(listener, users) }
}

/** The same over a server that other processes use too; with `near`, what was read is kept in this process. */
export async function sharedSubject(kind: SharedKind, near: boolean, users: readonly string[]): Promise<Subject> {
  const { store, close } = await sharedStore(kind, near ? NEAR_CORNER : 'bench_strict')
  const sessions = benchSessions(store, near)
  await sessions.ready()
  const listener = coatcheckApp(sessions)
  const signedIn = await signInAll(listener, users)
  const closeBoth = async () => {
    await sessions.close()
    await close()
  }
  return { listener, signedIn, close: closeBoth }
}
