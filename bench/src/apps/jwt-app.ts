import express, { type Express } from 'express'
import type { SignedIn, Subject } from '../subject.ts'
import { answer } from './express-answer.ts'

const NAME = 'token='

/**
 * An app that signs people in by a JWT in a cookie. The token is cut off the header, not parsed out of it: the cheapest
 * way there is, in the peers' favour.
 *
 * @param sign gives the token of a person
 * @param verify gives the person of a token, or throws
 */
export function jwtSubject(
  users: readonly string[],
  sign: (userId: string) => string,
  verify: (token: string) => string,
): Subject {
  return { listener: jwtApp(verify), signedIn: users.map((userId): SignedIn => ({ userId, cookie: NAME + sign(userId) })) }
}

function jwtApp(verify: (token: string) => string): Express {
  const app = express()
  app.use((req, res, next) => {
    res.locals.userId = verify((req.headers.cookie ?? '').slice(NAME.length))
    next()
  })
  app.get('/me', (_req, res) => answer(res, res.locals.userId))
  return app
}
