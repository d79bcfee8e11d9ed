import { Agent, request } from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'
import { type App, startApp, WIDE } from './support/app.ts'

const PASSWORD = 'k7#pQz!w and more'
const apps: App[] = []
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

  test('a limiter that is down is a 503 with a JSON body, and no hash', async () => {
    const down = { consume: () => Promise.reject(new Error('down')), reward: async () => {}, delete: async () => {} }
    const here = await app({ limiter: () => down })
    const { email } = await here.person(PASSWORD)
    const before = here.auth.hashing.computed
    const answer = await post(here, { email, password: PASSWORD })
    expect(answer).toMatchObject({ status: 503, body: '{"error":"Service unavailable","code":"LIMITER_UNAVAILABLE"}' })
    expect(answer.headers).toContainEqual(['retry-after', '1'])
    expect(here.auth.hashing.computed).toBe(before)
  })

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
