import express, { type Express, type Request } from 'express'
import session, { type MemoryStore } from 'express-session'
import { LIFETIME_MS, personalData, SECRET } from './data.ts'
import { answer } from './express-answer.ts'

/** An app on express-session with the settings that its README advises. */
export function expressSessionApp(store: MemoryStore, rolling = false): Express {
  const app = express()
  app.use(session({ store, rolling, secret: SECRET, resave: false, saveUninitialized: false, cookie: { maxAge: LIFETIME_MS } }))
  app.post('/login/:userId', (req, res) => {
    Object.assign(bagOf(req), personalData(req.params.userId))
    res.json({ ok: true })
  })
  app.get('/me', (req, res) => answer(res, bagOf(req).userId!))
  return app
}

function bagOf(request: Request): { userId?: string } {
  return 'session' in request ? (request.session as { userId?: string }) : {}
}
