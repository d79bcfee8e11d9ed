// An Express application over @coatcheck/auth. As a process: node app.ts '{"hashing":{…}}' prints its port.
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { answerTo, session } from 'coatcheck/express'
import express, { type NextFunction, type Request, type Response } from 'express'
import { CHEAP, type Options, openWorld, type World } from './world.ts'

export interface App extends World {
  readonly url: string
  close(): Promise<void>
}

/** Many tries, where throttling is not what is tested. */
export const WIDE = {
  perIp: [{ tries: 100_000, per: '1d' }],
  perAccountAndIp: [{ tries: 100_000, per: '1d' }],
  perAccount: [{ tries: 100_000, per: '1d' }],
} as const

export async function startApp(options: Options = {}): Promise<App> {
  const world = openWorld(options)
  const { auth, sessions } = world
  const app = express().use(express.json({ limit: '64kb' }), session(sessions))

  app.post('/login', async (req, res) => {
    const { email, password, remember } = req.body
    const result = await auth.login(req.session, { identifier: email, password, remember: remember === true })
    if (result.ok) return void res.json({ ok: true, userId: result.userId })
    if (result.reason === 'throttled')
      return void res.set('Retry-After', String(result.retryAfter)).status(429).json({ error: 'Too many tries' })
    res.status(401).json({ error: 'Invalid credentials' })
  })
  app.get('/me', (req, res) => void res.json({ userId: req.session.userId }))
  app.get('/cpu', (_req, res) => {
    const { user, system } = process.cpuUsage()
    res.json({ total: Math.round((user + system) / 1000) })
  })
  app.get('/memory', (_req, res) => void res.json(process.memoryUsage()))
  app.use((error: unknown, _req: Request, res: Response, _next: NextFunction) => {
    const { status, headers, body } = answerTo(error)
    res.status(status).set(headers).send(body)
  })

  const server: Server = app.listen(0, '127.0.0.1')
  // A client's idle connection is not to be cut between two rounds of a test on a slow machine (5 s by default).
  server.keepAliveTimeout = 60_000
  await once(server, 'listening')
  return {
    ...world,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections()
      server.close()
      await world.close()
    },
  }
}

if (process.argv[1] === import.meta.filename) {
  const task = JSON.parse(process.argv[2] ?? '{}') as Pick<Options, 'passwords'>
  const app = await startApp({ limits: WIDE, passwords: { ...CHEAP, ...task.passwords } })
  const { email } = await app.person('k7#pQz!w and more')
  console.log(JSON.stringify({ url: app.url, email }))
  // Ends with its parent, however that ends.
  process.stdin.resume().on('end', () => process.exit())
}
