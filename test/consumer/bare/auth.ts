// An application whose ids are numbers (session-data.ts) over @coatcheck/auth.
import { createAuth, type LoginResult } from '@coatcheck/auth'
import { memoryLimiter } from '@coatcheck/auth/memory'
import { createSessions, type Session } from 'coatcheck'
import { memoryStore } from 'coatcheck/memory'

const sessions = createSessions({ store: memoryStore(), secret: 'x'.repeat(32) })
const auth = createAuth({
  sessions,
  limiter: memoryLimiter(),
  findUser: async email => (email === 'ann@example.org' ? { id: 7 } : undefined),
  findCredentials: id => ({ passwordHash: null, disabled: id + 1 }),
  savePassword: ({ userId, passwordHash, replaces }) => userId + 1 > 0 && passwordHash !== replaces,
})
auth.on('login.failed', ({ why, userId }) => console.log(why, userId?.toFixed()))

export async function signIn(session: Session, body: { email: string; password: string }): Promise<number | string> {
  const result: LoginResult = await auth.login(session, { identifier: body.email, password: body.password, remember: true })
  if (result.ok) return result.userId + 1
  return result.reason === 'throttled' ? `again in ${result.retryAfter.toFixed()} s` : result.reason
}

createAuth({
  sessions,
  limiter: memoryLimiter(),
  // @ts-expect-error ids are numbers here
  findUser: () => ({ id: 'seven' }),
  findCredentials: () => null,
  savePassword: () => true,
})
createAuth({
  sessions,
  limiter: memoryLimiter(),
  findUser: () => null,
  findCredentials: () => null,
  // @ts-expect-error savePassword must say whether it saved
  savePassword: async () => {},
})
// @ts-expect-error no limiter, no login
createAuth({ sessions, findUser: () => null, findCredentials: () => null, savePassword: () => true })
