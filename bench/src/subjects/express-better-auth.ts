import { betterAuth } from 'better-auth'
import { memoryAdapter } from 'better-auth/adapters/memory'
import { fromNodeHeaders, toNodeHandler } from 'better-auth/node'
import express from 'express'
import { SECRET } from '../apps/data.ts'
import { answer } from '../apps/express-answer.ts'
import type { SignedIn, StartSubject } from '../subject.ts'

/**
 * As its Express page says: its handler mounted, `getSession` where the session is needed. Its memory adapter scans its
 * tables from the start, so only a few people sign up here: in the peer's favour.
 */
export const start: StartSubject = async users => {
  const auth = betterAuth({
    secret: SECRET,
    baseURL: 'http://127.0.0.1',
    database: memoryAdapter({ user: [], session: [], account: [], verification: [] }),
    emailAndPassword: { enabled: true },
    telemetry: { enabled: false },
  })
  const app = express()
  app.all('/api/auth/*splat', toNodeHandler(auth))
  app.get('/me', async (req, res) => {
    const found = await auth.api.getSession({ headers: fromNodeHeaders(req.headers) })
    answer(res, found!.user.name)
  })
  const signedIn: SignedIn[] = []
  for (const userId of users) signedIn.push({ userId, cookie: await signUp(userId) })
  return { listener: app, signedIn }

  async function signUp(name: string): Promise<string> {
    const body = { name, email: `${name}@example.com`, password: `${name}-${SECRET}` }
    const response = await auth.api.signUpEmail({ body, asResponse: true })
    return response.headers.getSetCookie()[0]!.split(';', 1)[0]!
  }
}
