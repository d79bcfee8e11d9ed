import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { SignedIn } from '../subject.ts'

/** Signs everybody in as a browser does: a real `POST /login/:userId`, whose Set-Cookie is kept. */
export async function signInAll(listener: RequestListener, users: readonly string[]): Promise<readonly SignedIn[]> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const signedIn: SignedIn[] = []
  for (const userId of users) signedIn.push({ userId, cookie: await signIn(port, userId) })
  server.closeAllConnections()
  server.close()
  return signedIn
}

async function signIn(port: number, userId: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/login/${userId}`, { method: 'POST' })
  const body = await response.text()
  const cookies = response.headers.getSetCookie().map(line => line.split(';', 1)[0])
  if (response.ok && cookies.length > 0) return cookies.join('; ')
  throw new Error(`Sign-in of ${userId} failed: ${response.status} ${body}`)
}
