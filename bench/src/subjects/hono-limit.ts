import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { lookAlikeCookie } from '../apps/look-alike.ts'
import { signInAll } from '../apps/sign-in.ts'
import type { StartSubject } from '../subject.ts'

/** Hono's limit: the same request and response, and a middleware that does nothing. */
export const start: StartSubject = async users => {
  const userId = users[0]!
  const app = new Hono()
  app.use(async (_c, next) => next())
  app.post('/login/:userId', c => {
    c.header('Set-Cookie', lookAlikeCookie())
    return c.json({ ok: true })
  })
  app.get('/me', c => {
    c.header('Cache-Control', 'private, no-store')
    c.header('Vary', 'Cookie')
    return c.json({ userId })
  })
  const listener = getRequestListener(app.fetch)
  const signedIn = await signInAll(listener, users)
  return { listener, signedIn: signedIn.map(({ cookie }) => ({ cookie, userId })) }
}
