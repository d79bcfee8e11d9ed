import { createAuth } from '@coatcheck/auth'
import { memoryLimiter } from '@coatcheck/auth/memory'
import { session } from 'coatcheck/express'
import { memoryStore } from 'coatcheck/memory'
import express, { type Express } from 'express'
import { benchSessions } from './coatcheck-sessions.ts'

/** Everybody's. */
export const PASSWORD = 'k7#pQz!w and more'

/** More than any run tries: throttling is not what is measured. */
const UNLIMITED = [{ tries: 100_000, per: '1d' }] as const

/** An app whose logins compute argon2id as by default, by whatever identifier. */
export async function authApp(): Promise<Express> {
  const sessions = benchSessions(memoryStore())
  let stored: string | null = null
  const auth = createAuth({
    sessions,
    findUser: identifier => ({ id: identifier }),
    findCredentials: () => ({ passwordHash: stored }),
    savePassword: ({ passwordHash }) => {
      stored = passwordHash
      return true
    },
    limiter: memoryLimiter(),
    limits: { perIp: UNLIMITED, perAccountAndIp: UNLIMITED, perAccount: UNLIMITED },
  })
  const hashed = await auth.hashPassword(PASSWORD)
  if (!hashed.ok) throw new Error(hashed.message)
  stored = hashed.passwordHash
  const app = express().use(express.json(), session(sessions))
  app.post('/login', async (req, res) => {
    const { ok } = await auth.login(req.session, req.body)
    res.status(ok ? 200 : 401).json({ ok })
  })
  app.get('/me', (req, res) => res.json({ userId: req.session.userId }))
  return app
}
