import express from 'express'
import { answer } from '../apps/express-answer.ts'
import { lookAlikeCookie } from '../apps/look-alike.ts'
import { signInAll } from '../apps/sign-in.ts'
import type { StartSubject } from '../subject.ts'

/** What no session library can beat: the same request and response, and a middleware that does nothing. */
export const start: StartSubject = async users => {
  const userId = users[0]!
  const app = express()
  app.use((_req, _res, next) => next())
  app.post('/login/:userId', (_req, res) => res.setHeader('Set-Cookie', lookAlikeCookie()).json({ ok: true }))
  app.get('/me', (_req, res) => answer(res, userId))
  const signedIn = await signInAll(app, users)
  return { listener: app, signedIn: signedIn.map(({ cookie }) => ({ cookie, userId })) }
}
