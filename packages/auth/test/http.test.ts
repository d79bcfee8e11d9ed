import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { startPostgres } from '../../../test/services/postgres.ts'
import { startRedis } from '../../../test/services/redis.ts'
import type { Server } from '../../../test/services/server.ts'
import { service } from '../../../test/services/service.ts'
import { type App, startApp, WIDE } from './support/app.ts'
import { type Address, open } from './support/connect.ts'

const PASSWORD = 'k7#pQz!w and more'
const apps: App[] = []
/** What cannot be had is in the run's summary. */
const lacking = { redis: (await service('redis')).missing, postgres: (await service('postgres')).missing }
const redis = { lacks: lacking.redis, start: startRedis, address: (url: string): Address => ({ kind: 'redis', url }) }
const postgres = {
  lacks: lacking.postgres,
  start: startPostgres,
  address: (url: string): Address => ({ kind: 'postgres', url, table: 'tries' }),
}
async function kill(server: Server): Promise<void> {
  await server.kill()
  // Postgres's other processes find out that their main one is gone.
  await sleep(1000)
}
const killed = { fail: kill, mend: (server: Server) => server.restart() }
const frozen = { fail: async (server: Server) => server.pause(), mend: async (server: Server) => server.resume() }
const outages = [
  { name: 'Redis killed', ...redis, ...killed },
  { name: 'Redis frozen', ...redis, ...frozen },
  // A Postgres whose main process is frozen still serves the connections that it has.
  { name: 'Postgres killed', ...postgres, ...killed },
].filter(({ lacks }) => lacks === undefined)
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close()
})

async function app(options: Parameters<typeof startApp>[0] = {}): Promise<App> {
  const started = await startApp(options)
  apps.push(started)
  return started
}

/** The whole answer, headers in the order they came. */
async function post({ url }: App, body: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(`${url}/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
  return {
    status: response.status,
    headers: [...response.headers].filter(([name]) => name !== 'date'),
    body: await response.text(),
  }
}

describe('over HTTP, on Express', () => {
  test('ASVS 6.3.8: unknown, wrong and disabled are the same status, body and headers', async () => {
    const here = await app()
    const known = await here.person(PASSWORD)
    const disabled = await here.person(PASSWORD)
    here.users.disableUser(disabled.id)
    const unknown = await post(here, { email: 'nobody@example.org', password: PASSWORD })
    expect(unknown).toMatchObject({ status: 401, body: '{"error":"Invalid credentials"}' })
    expect(await post(here, { email: known.email, password: 'wrong password' })).toEqual(unknown)
    expect(await post(here, { email: disabled.email, password: PASSWORD })).toEqual(unknown)
    expect(await post(here, { email: { $ne: 1 }, password: ['x'] })).toEqual(unknown)
    expect(unknown.headers.map(([name]) => name)).not.toContain('set-cookie')
    expect(here.auth.hashing.computed).toBe(5)
  })

  test('a throttled try is a 429 with Retry-After, the same whether or not there is such an account', async () => {
    const here = await app({ limits: { perAccountAndIp: [{ tries: 2, per: '1h' }] } })
    const { email } = await here.person(PASSWORD)
    const answers: unknown[] = []
    for (const one of [email, 'nobody@example.org']) {
      for (let i = 0; i < 3; i++) answers.push(await post(here, { email: one, password: 'wrong password' }))
    }
    expect(answers[2]).toMatchObject({ status: 429, headers: expect.arrayContaining([['retry-after', '3600']]) })
    expect(answers[5]).toEqual(answers[2])
  })

  test('a login sets the session cookie and the device cookie, both HttpOnly', async () => {
    const here = await app()
    const { id, email } = await here.person(PASSWORD)
    const { body, headers } = await post(here, { email, password: PASSWORD })
    expect(JSON.parse(body)).toEqual({ ok: true, userId: id })
    const cookies = headers.filter(([name]) => name === 'set-cookie').map(([, value]) => value)
    expect(cookies).toEqual([
      expect.stringMatching(/^sid=[\w.-]{110}; Path=\/; HttpOnly; SameSite=Lax$/),
      expect.stringMatching(/^device=[\w.-]{119,120}; Max-Age=15552000; Path=\/; HttpOnly; SameSite=Lax$/),
    ])
  })

  test.each(outages)(
    'a limiter that is down, $name: a 503 with Retry-After and no hash, and no try of it counts',
    async ({ start, address, fail, mend }) => {
      const server = await start()
      if ('missing' in server) throw new Error(server.missing)
      const { limiter, close } = await open(address(server.url))
      const here = await app({ limiter, limits: { perIp: [{ tries: 10, per: '1d' }] } })
      const { email } = await here.person(PASSWORD)
      const signIn = () => post(here, { email, password: PASSWORD })
      try {
        expect(await signIn()).toMatchObject({ status: 200 })
        const before = here.auth.hashing.computed
        await fail(server)
        const answers = await Promise.all(Array.from({ length: 15 }, signIn))
        for (const answer of answers) {
          expect(answer).toMatchObject({ status: 503, body: '{"error":"Service unavailable","code":"LIMITER_UNAVAILABLE"}' })
          expect(answer.headers).toContainEqual(['retry-after', '1'])
        }
        expect(here.auth.hashing.computed).toBe(before)
        await mend(server)
        await expect.poll(async () => (await signIn()).status, { timeout: 15_000 }).toBe(200)
      } finally {
        await close().catch(() => {})
        await server.stop()
      }
    },
  )

  test('a queue that is full is a 503 with Retry-After, the same for everybody', async () => {
    const here = await app({ limits: WIDE, passwords: { concurrency: 1, longestQueue: 2, memoryKiB: 65_536, passes: 3 } })
    const { email } = await here.person(PASSWORD)
    const mails = [email, 'nobody@example.org']
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, i) => post(here, { email: mails[i % 2], password: PASSWORD })),
    )
    const busy = answers.filter(({ status }) => status === 503)
    expect(busy.length).toBeGreaterThanOrEqual(6)
    for (const { body, headers } of busy) {
      expect(JSON.parse(body)).toEqual({ error: 'Service unavailable', code: 'HASHING_OVERLOADED' })
      expect(headers.map(([name]) => name)).toContain('retry-after')
    }
  })

  test('a body that is cut off, or the browser gone, leaves no place in the queue taken', async () => {
    const here = await app({ limits: WIDE, passwords: { concurrency: 1, memoryKiB: 19_456, passes: 2 } })
    const { email } = await here.person(PASSWORD)
    const agent = new Agent()
    const body = JSON.stringify({ email, password: PASSWORD })
    for (let i = 0; i < 20; i++) {
      const sent = request(`${here.url}/login`, {
        agent,
        method: 'POST',
        headers: { 'content-type': 'application/json', 'content-length': body.length },
      })
      sent.on('error', () => {})
      sent.end(body)
      await new Promise(resolve => setTimeout(resolve, 2))
      sent.destroy()
    }
    await expect.poll(() => here.auth.hashing, { timeout: 10_000 }).toMatchObject({ running: 0, waiting: 0 })
    expect(await post(here, { email, password: PASSWORD })).toMatchObject({ status: 200 })
    agent.destroy()
  })
})
