import { getRequestListener } from '@hono/node-server'
import { session } from 'coatcheck/hono'
import { memoryStore } from 'coatcheck/memory'
import { Hono } from 'hono'
import { benchSessions } from '../apps/coatcheck-sessions.ts'
import { personalData } from '../apps/data.ts'
import { signInAll } from '../apps/sign-in.ts'
import type { StartSubject } from '../subject.ts'

export const start: StartSubject = async users => {
  const app = new Hono()
    .use(session(benchSessions(memoryStore())))
    .post('/login/:userId', async c => {
      const userId = c.req.param('userId')
      await c.var.session.login(userId)
      // As on Express: a change of its own, for which the response waits.
      Object.assign(c.var.session, personalData(userId))
      return c.json({ ok: true })
    })
    .get('/me', c => c.json({ userId: c.var.session.userId }))
  const listener = getRequestListener(app.fetch)
  return { listener, signedIn: await signInAll(listener, users) }
}
