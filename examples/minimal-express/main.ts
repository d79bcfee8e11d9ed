// SESSION_SECRET='32 random bytes or more' node main.ts
import { createSessions, csrf, requireAuth, session } from 'coatcheck/express'
import { sqliteStore } from 'coatcheck/sqlite'
import express from 'express'

const sessions = createSessions({ store: sqliteStore('sessions.db'), secret: process.env.SESSION_SECRET })
const app = express()
app.use(express.json(), session(sessions), csrf())

app.post('/login', async (req, res) => {
  const userId = personBehind(req.body)
  if (userId === undefined) return res.status(401).json({ error: 'Invalid credentials' })
  await req.session.login(userId)
  res.json({ ok: true })
})
app.post('/logout', async (req, res) => {
  await req.session.logout()
  res.json({ ok: true })
})
app.get('/me', requireAuth({ loginPath: '/login' }), (req, res) => {
  res.json({ userId: req.session.userId })
})
app.get('/devices', requireAuth(), async (req, res) => {
  res.json(await sessions.devices(req.session)) // this one first
})
app.post('/devices/sign-out-others', requireAuth(), async (req, res) => {
  res.json({ ended: await sessions.revokeOthers(req.session) })
})

const server = app.listen(Number(process.env.PORT ?? 3000), () => console.log('listening on', server.address()))

/** Yours: look the person up, and verify the hash of the password. `@coatcheck/auth` does it, throttled. */
function personBehind(body: { name?: unknown; password?: unknown } | undefined): string | undefined {
  return body?.name === 'ada' && body.password === 'open sesame' ? 'ada' : undefined
}
