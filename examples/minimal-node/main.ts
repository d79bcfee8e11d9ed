// SESSION_SECRET='32 random bytes or more' node main.ts
import { createServer, type ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import { assertSignedIn } from 'coatcheck'
import { answerTo, createSessions, csrf, type RequestWithSession, withSession } from 'coatcheck/node'
import { sqliteStore } from 'coatcheck/sqlite'

const sessions = createSessions({ store: sqliteStore('sessions.db'), secret: process.env.SESSION_SECRET })
const checkOrigin = csrf()
const server = createServer(
  withSession(sessions, (request, response) => checkOrigin(request, response, () => handle(request, response))),
)
server.listen(Number(process.env.PORT ?? 3000), () => console.log('listening on', server.address()))

async function handle(request: RequestWithSession, response: ServerResponse): Promise<void> {
  try {
    const [status, body] = await answer(request)
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
  } catch (error) {
    const { status, headers, body } = answerTo(error) // 401 where nobody is signed in
    response.writeHead(status, headers).end(body)
  }
}

async function answer(request: RequestWithSession): Promise<readonly [status: number, body: object]> {
  const { session } = request
  switch (`${request.method} ${request.url}`) {
    case 'POST /login': {
      const userId = personBehind(await json(request))
      if (userId === undefined) return [401, { error: 'Invalid credentials' }]
      await session.login(userId)
      return [200, { ok: true }]
    }
    case 'POST /logout':
      await session.logout()
      return [200, { ok: true }]
    case 'GET /me':
      assertSignedIn(session)
      return [200, { userId: session.userId }]
    case 'GET /devices':
      return [200, await sessions.devices(session)] // this one first
    case 'POST /devices/sign-out-others':
      return [200, { ended: await sessions.revokeOthers(session) }]
    default:
      return [404, { error: 'Not found' }]
  }
}

/** Yours: look the person up, and verify the hash of the password. `@coatcheck/auth` does it, throttled. */
function personBehind(body: unknown): string | undefined {
  const { name, password } = body as { name?: unknown; password?: unknown }
  return name === 'ada' && password === 'open sesame' ? 'ada' : undefined
}
