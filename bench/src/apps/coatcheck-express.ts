import type { SessionStore } from 'coatcheck'
import { session } from 'coatcheck/express'
import express, { type Express } from 'express'
import type { Subject } from '../subject.ts'
import { benchSessions } from './coatcheck-sessions.ts'
import { personalData } from './data.ts'
import { signInAll } from './sign-in.ts'

/** An app on ours. */
export function coatcheckApp(store: SessionStore): Express {
  const app = express()
  app.use(session(benchSessions(store)))
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
  const listener = coatcheckApp(store)
  return { listener, signedIn: await signInAll(listener, users) }
}
