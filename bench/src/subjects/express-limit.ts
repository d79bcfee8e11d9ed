import express from 'express'
import { answer } from '../apps/express-answer.ts'
import { lookAlikeCookie } from '../apps/look-alike.ts'
import type { StartSubject } from '../subject.ts'

/** What no session library can beat: the same request and response, and a middleware that does nothing. */
export const start: StartSubject = async users => {
  const app = express()
  app.use((_req, _res, next) => next())
  app.get('/me', (_req, res) => answer(res, users[0]!))
  return { listener: app, signedIn: users.map(() => ({ cookie: lookAlikeCookie(), userId: users[0]! })) }
}
