import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { dataFolder, failedStart, member, startApp } from './app-process.ts'
import { Client } from './client.ts'

let folder: ReturnType<typeof dataFolder>
beforeEach(() => {
  folder = dataFolder()
})
afterEach(() => folder.remove())

describe('a restart', () => {
  test('signs nobody out, and brings nobody back', async () => {
    const first = await startApp(folder.path)
    const [stays, leaves] = [new Client(first.url), new Client(first.url)]
    await stays.post('/login', member)
    await leaves.post('/login', member)
    const gone = leaves.cookie
    await leaves.post('/logout')
    expect(await first.stop()).toBe(0)

    const second = await startApp(folder.path)
    const statusOf = async (cookie: string) => (await new Client(second.url, { cookie }).get('/dashboard')).status
    expect([await statusOf(stays.cookie), await statusOf(gone)]).toEqual([200, 401])
    expect(await second.stop()).toBe(0)
  })

  test('lets a request that is under way end', async () => {
    const app = await startApp(folder.path)
    const headers = { 'content-type': 'application/json', expect: '100-continue' }
    const login = request(`${app.url}/login`, { method: 'POST', headers })
    login.flushHeaders()
    // The app has the request, and still waits for its body.
    await once(login, 'continue')
    const code = app.stop()
    login.end(JSON.stringify(member))
    const [answer] = await once(login, 'response')
    answer.resume()
    expect([answer.statusCode, await code]).toEqual([200, 0])
  })
})

describe('the first accounts', () => {
  test('get random passwords that work, and are printed once', async () => {
    const env = { ADMIN_EMAIL: '', ADMIN_PASSWORD: '', MEMBER_EMAIL: '', MEMBER_PASSWORD: '' }
    const first = await startApp(folder.path, env)
    const printed = first.output.map(line => line.match(/^ {2}(\w+) +(\S+@\S+) +(\S{20})$/)).filter(match => match !== null)
    expect(printed.map(([, role, email]) => [role, email])).toEqual([
      ['admin', 'admin@example.com'],
      ['member', 'member@example.com'],
    ])
    for (const [, role, email, password] of printed) {
      const client = new Client(first.url)
      expect((await client.post('/login', { email, password })).status).toBe(200)
      expect(await (await client.get('/dashboard')).json()).toMatchObject({ role })
    }
    await first.stop()
    const second = await startApp(folder.path, env)
    expect(second.output).toEqual([
      `Sessions are kept in ${join(folder.path, 'sessions.db')}.`,
      expect.stringMatching(/^Coatcheck reference app: http:\/\/localhost:\d+$/),
    ])
    await second.stop()
  })
})

describe('the secret', () => {
  test("development's is made once, kept, and readable for its owner only", async () => {
    await (await startApp(folder.path)).stop()
    const path = join(folder.path, 'session-secret')
    const secret = readFileSync(path, 'utf8')
    expect([statSync(path).mode & 0o777, Buffer.from(secret, 'base64url').length]).toEqual([0o600, 32])
    await (await startApp(folder.path)).stop()
    expect(readFileSync(path, 'utf8')).toBe(secret)
  })

  test.each([
    ['is missing in production', { NODE_ENV: 'production' }, /SESSION_SECRET is required in production: 32 bytes or more/],
    ['is short', { SESSION_SECRET: 'short' }, /SESSION_SECRET must be 32 bytes or more; it has 5\./],
  ])('where it %s, the app says so and does not start', async (_, env, words) => {
    const { code, output } = await failedStart({ DATA_DIR: folder.path, ...env })
    expect([code, output]).toEqual([1, expect.stringMatching(words)])
    expect(output).not.toMatch(/\n\s+at /)
  })

  test('a damaged file is told from a missing one', async () => {
    writeFileSync(join(folder.path, 'session-secret'), '')
    const { code, output } = await failedStart({ DATA_DIR: folder.path })
    expect([code, output]).toEqual([1, expect.stringMatching(/holds no secret of 32 bytes\. Remove it/)])
  })
})

describe('other settings', () => {
  test.each([
    [{ PORT: 'eighty' }, /PORT must be a whole number/],
    [{ ADMIN_PASSWORD: 'short' }, /ADMIN_PASSWORD must have 8 characters or more/],
    [{ MEMBER_EMAIL: 'nobody' }, /MEMBER_EMAIL must be an e-mail address/],
    [{ PUBLIC_URL: 'app.example.com' }, /PUBLIC_URL must be an address without a path such as https:/],
    [{ PUBLIC_URL: 'https://app.example.com/app' }, /PUBLIC_URL must be an address without a path/],
    [{ PUBLIC_URL: 'javascript:alert(1)' }, /PUBLIC_URL must be an address without a path/],
  ])('%j: the app says what is wrong and does not start', async (env, words) => {
    const { code, output } = await failedStart({ DATA_DIR: folder.path, ...env })
    expect([code, output]).toEqual([1, expect.stringMatching(words)])
  })

  test('a taken port is said in a sentence', async () => {
    const app = await startApp(folder.path)
    const { code, output } = await failedStart({ DATA_DIR: folder.path, PORT: new URL(app.url).port })
    expect([code, output]).toEqual([1, expect.stringMatching(/Cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/)])
    await app.stop()
  })

  test.each([
    [{ PUBLIC_URL: 'https://app.example.com/' }, 'https://app.example.com/reset?token='],
    [{}, 'http://localhost:'],
  ])('a reset link leads to the app itself, never to where a forged Host says: %j', async (env, begin) => {
    const app = await startApp(folder.path, env)
    const body = JSON.stringify({ email: member.email })
    const forged = { host: 'evil.example', 'x-forwarded-host': 'evil.example', 'content-type': 'application/json' }
    const asked = request(`${app.url}/forgot`, { method: 'POST', headers: forged }).end(body)
    const [answer] = await once(asked, 'response')
    answer.resume()
    const mail = () => app.output.find(line => line.startsWith(`Mail to ${member.email}`))
    await expect.poll(mail).toContain(`choose a new password at ${begin}`)
    expect(mail()).not.toContain('evil')
    await app.stop()
  })

  test('in production a mail with a link needs PUBLIC_URL, and a log never holds the link', async () => {
    const secret = 'a-secret-for-tests-of-32-bytes-or-more'
    const app = await startApp(folder.path, { NODE_ENV: 'production', SESSION_SECRET: secret })
    expect((await new Client(app.url).post('/forgot', { email: member.email })).status).toBe(200)
    await expect.poll(() => app.output.join('\n')).toContain('PUBLIC_URL is not set')
    expect(app.output.join('\n')).not.toContain('token=')
    await app.stop()
  })

  test('in production the cookie is bound to this very host and to TLS, as a proxy tells it', async () => {
    const secret = 'a-secret-for-tests-of-32-bytes-or-more'
    const app = await startApp(folder.path, { NODE_ENV: 'production', SESSION_SECRET: secret, TRUST_PROXY: '1' })
    const answer = await new Client(app.url, { 'x-forwarded-proto': 'https' }).post('/login', { ...member, remember: true })
    expect(answer.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^__Host-sid=[\w.-]+; Max-Age=25(?:92000|919\d\d); Path=\/; HttpOnly; Secure; SameSite=Lax$/),
      // For page scripts to read; worth nothing without the session's own.
      expect.stringMatching(/^csrf-token=[\w.-]+; Path=\/; Secure; SameSite=Lax$/),
      expect.stringMatching(/^__Host-device=[\w.-]+; Max-Age=15552000; Path=\/; HttpOnly; Secure; SameSite=Lax$/),
    ])
    expect(answer.headers.get('strict-transport-security')).toMatch(/^max-age=31536000/)
    await app.stop()
  })
})
