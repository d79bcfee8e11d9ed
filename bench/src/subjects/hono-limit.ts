import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { lookAlikeCookie } from '../apps/look-alike.ts'
import type { StartSubject } from '../subject.ts'

/** Hono's limit: the same request and response, and a middleware that does nothing. */
export const start: StartSubject = async users => {
  const app = new Hono()
  app.use(async (_c, next) => next())
  app.get('/me', c => {
    c.header('Cache-Control', 'private, no-store')
    c.header('Vary', 'Cookie')
    return c.json({ userId: users[0]! })
  })
  return {
    listener: getRequestListener(app.fetch),
    signedIn: users.map(() => ({ cookie: lookAlikeCookie(), userId: users[0]! })),
  }
}
