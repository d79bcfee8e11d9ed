import type { AddressInfo } from 'node:net'
import { createSessions, requireAuth, session } from 'coatcheck/express'
import { sqliteStore } from 'coatcheck/sqlite'
import express from 'express'

/*
 * A small app for crash.test.ts, which kills it. Its session data is whatever keys it is told to set.
 */

const [path = ''] = process.argv.slice(2)
const sessions = createSessions({ store: sqliteStore(path), secret: 'a-secret-for-tests-of-32-bytes-or-more' })
const app = express().use(session(sessions))

app.post('/login/:user', async (req, res) => {
  await req.session.login(req.params.user)
  res.json({ ok: true })
})
app.post('/revoke-everyone', async (_req, res) => {
  await sessions.revokeEveryone()
  res.json({ ok: true })
})
app.use(requireAuth())
app.get('/session', (req, res) => res.json(req.session))
app.put('/keys/:key', (req, res) => {
  Object.assign(req.session, { [req.params.key]: true })
  res.json({ ok: true })
})
app.post('/rotate', async (req, res) => {
  await req.session.rotate()
  res.json({ ok: true })
})
app.post('/logout', async (req, res) => {
  await req.session.logout()
  res.json({ ok: true })
})
app.post('/revoke-mine', async (req, res) => {
  await sessions.revokeUser(req.session.userId as string)
  res.json({ ok: true })
})
app.post('/revoke-others', async (req, res) => res.json({ revoked: await sessions.revokeOthers(req.session) }))

const server = app.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
