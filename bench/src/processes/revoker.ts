import type { Sessions } from 'coatcheck'
import { benchSessions } from '../apps/coatcheck-sessions.ts'
import { personalData } from '../apps/data.ts'
import { NEAR_CORNER, type SharedKind, sharedStore } from '../apps/shared-stores.ts'
import { type Connection, getRequest, openConnection } from './connection.ts'
import type { RevocationQuestion, RevocationResult } from './messages.ts'

/** Sign-ins under way at once. */
const AT_ONCE = 32
/** Sessions that are being ended at once, each over a connection of its own. */
const LANES = 4

// Another process of the same application, near cache on: ends sessions, and asks the server for each until it is refused.
const { store, close } = await sharedStore(process.argv[2] as SharedKind, NEAR_CORNER)
const sessions = benchSessions(store, true)
await sessions.ready()

process.on('message', async (question: RevocationQuestion) => {
  process.send!(await revokeAll(question))
})
process.on('disconnect', async () => {
  await sessions.close()
  await close()
  process.exit()
})
process.send!({})

async function revokeAll({ port, revocations }: RevocationQuestion): Promise<RevocationResult> {
  const cookies = (await signIn(sessions, revocations)).values()
  const result: RevocationResult = { bareMs: [], refusedMs: [], servedAfter: 0 }
  const lane = async () => {
    const server = await openConnection(port)
    for (const cookie of cookies) await revokeOne(cookie, getRequest(port, '/me', cookie), server, result)
    server.close()
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  return result
}

/** In the order of their numbers, so many at once. */
async function signIn(issuer: Sessions, count: number): Promise<readonly string[]> {
  const cookies: string[] = []
  while (cookies.length < count) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - cookies.length) }, (_, index) => `r${cookies.length + index}`)
    cookies.push(...(await Promise.all(some.map(userId => issuer.issue(userId, personalData(userId))))))
  }
  return cookies
}

/**
 * The server reads the session once and then has it in its memory; that second answer is the bare round trip. Then it is
 * ended here, and asked for there until it is refused, without a pause.
 */
async function revokeOne(cookie: string, request: string, server: Connection, result: RevocationResult): Promise<void> {
  const isServed = async () => (await server.ask(request)).includes('"userId"')
  if (!(await isServed())) throw new Error('A session that nobody ended was refused.')
  const asked = performance.now()
  if (!(await isServed())) throw new Error('A session that nobody ended was refused.')
  result.bareMs.push(performance.now() - asked)
  const ended = await sessions.revoke(idIn(cookie))
  const revoked = performance.now()
  if (!ended) throw new Error('There was no session to end.')
  while (await isServed()) result.servedAfter++
  result.refusedMs.push(performance.now() - revoked)
}

/** The id of the session that a Cookie header names. */
function idIn(cookie: string): string {
  return cookie.slice(cookie.indexOf('=') + 1, cookie.indexOf('.'))
}
