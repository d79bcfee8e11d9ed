import express, { type Express } from 'express'
import type { Subject } from '../subject.ts'
import { answer } from './express-answer.ts'
import { signInAll } from './sign-in.ts'

const NAME = 'token='

/** Signs a person in: gives the token, or the person of a token (and throws if it is none). */
export interface TokenKeeper {
  sign(userId: string): string
  verify(token: string): string
}

/**
 * An app that signs people in by a JWT in a cookie. The token is cut off the header, not parsed out of it: the cheapest
 * way there is, in the peers' favour.
 */
export async function jwtSubject(users: readonly string[], keeper: TokenKeeper): Promise<Subject> {
  const listener = jwtApp(keeper)
  return { listener, signedIn: await signInAll(listener, users) }
}

function jwtApp({ sign, verify }: TokenKeeper): Express {
  const app = express()
  app.post('/login/:userId', (req, res) => res.setHeader('Set-Cookie', NAME + sign(req.params.userId)).json({ ok: true }))
  app.use((req, res, next) => {
    res.locals.userId = verify((req.headers.cookie ?? '').slice(NAME.length))
    next()
  })
  app.get('/me', (_req, res) => answer(res, res.locals.userId))
  return app
}
