// SESSION_SECRET='32 random bytes or more' node main.ts
import { serve } from '@hono/node-server'
import { createSessions, csrf, requireAuth, session } from 'coatcheck/hono'
import { sqliteStore } from 'coatcheck/sqlite'
import { Hono } from 'hono'

const sessions = createSessions({ store: sqliteStore('sessions.db'), secret: process.env.SESSION_SECRET })
const app = new Hono()
  .use(session(sessions), csrf())
  .post('/login', async c => {
    const userId = personBehind(await c.req.json())
    if (userId === undefined) return c.json({ error: 'Invalid credentials' }, 401)
    await c.var.session.login(userId)
    return c.json({ ok: true })
  })
  .post('/logout', async c => {
    await c.var.session.logout()
    return c.json({ ok: true })
  })
  .get('/me', requireAuth({ loginPath: '/login' }), c => c.json({ userId: c.var.session.userId }))
  .get('/devices', requireAuth(), async c => {
    return c.json(await sessions.devices(c.var.session)) // this one first
  })
  .post('/devices/sign-out-others', requireAuth(), async c => {
    return c.json({ ended: await sessions.revokeOthers(c.var.session) })
  })

serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 3000) }, address => console.log('listening on', address))

/** Yours: look the person up, and verify the hash of the password. `@coatcheck/auth` does it, throttled. */
function personBehind(body: { name?: unknown; password?: unknown }): string | undefined {
  return body.name === 'ada' && body.password === 'open sesame' ? 'ada' : undefined
}
