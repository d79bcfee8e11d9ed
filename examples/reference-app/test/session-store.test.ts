import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { service } from '../../../test/services/service.ts'
import { type AppProcess, admin, dataFolder, failedStart, member, startApp } from './app-process.ts'
import { Client } from './client.ts'

const servers = [
  { kind: 'Redis', variable: 'REDIS_URL', ...(await service('redis')), lists: true },
  { kind: 'Postgres', variable: 'DATABASE_URL', ...(await service('postgres')), lists: true },
  { kind: 'MongoDB', variable: 'MONGODB_URL', ...(await service('mongo')), lists: true },
  { kind: 'Memcached', variable: 'MEMCACHED_URL', ...(await service('memcached')), lists: false },
]

let folder: ReturnType<typeof dataFolder>
beforeEach(() => {
  folder = dataFolder()
})
afterEach(() => folder.remove())

async function signedIn(app: AppProcess, who: { email: string; password: string }): Promise<Client> {
  const client = new Client(app.url)
  expect((await client.post('/login', who)).status).toBe(200)
  return client
}

const statusOf = async (url: string, cookie: string) => (await new Client(url, { cookie }).get('/dashboard')).status
const pageOf = async (client: Client, path: string) => {
  const answer = await client.get(path, { accept: 'text/html' })
  return [answer.status, await answer.text()] as const
}

describe.each(servers)('with $variable', ({ variable, kind, url, missing, lists }) => {
  test.skipIf(missing)(`the whole way, and a restart, with sessions in ${kind}`, { timeout: 60_000 }, async () => {
    const env = { [variable]: url }
    const first = await startApp(folder.path, env)
    const { host, password } = new URL(url ?? '')
    const printed = first.output.join('\n')
    expect(printed).toContain(`Sessions are kept in ${kind} at ${host}`)
    if (password) expect(printed).not.toContain(`:${password}@`)

    const [here, there, chief] = [await signedIn(first, member), await signedIn(first, member), await signedIn(first, admin)]
    expect((await pageOf(here, '/dashboard'))[0]).toBe(200)
    const listed = await here.get('/account/sessions')
    const [status, page] = await pageOf(here, '/account/sessions')
    expect(status).toBe(200)
    const [, people] = await pageOf(chief, '/admin')
    expect(people).toContain(member.email)

    if (lists) {
      const { sessions } = (await listed.json()) as { sessions: { id: string; current: boolean }[] }
      expect(sessions.map(({ current }) => current)).toEqual([true, false])
      expect((await here.delete(`/account/sessions/${sessions[1]?.id}`)).status).toBe(200)
    } else {
      expect([listed.status, await listed.json()]).toEqual([
        501,
        { error: expect.stringContaining('keeps no lists'), code: 'NOT_SUPPORTED' },
      ])
      expect(page).toContain('keeps no lists')
      expect(people).toContain('not known')
      expect((await here.delete('/account/sessions/no-such-device')).status).toBe(404)
      expect(await (await here.post('/account/sessions/revoke-others')).json()).toEqual({ ok: true, revoked: 1 })
    }
    expect([await statusOf(first.url, here.cookie), await statusOf(first.url, there.cookie)]).toEqual([200, 401])
    expect(await first.stop()).toBe(0)

    const second = await startApp(folder.path, env)
    expect([await statusOf(second.url, here.cookie), await statusOf(second.url, there.cookie)]).toEqual([200, 401])
    const again = new Client(second.url, { cookie: here.cookie })
    expect((await again.post('/logout')).status).toBe(200)
    expect(await statusOf(second.url, here.cookie)).toBe(401)
    expect(await second.stop()).toBe(0)
    expect(existsSync(join(folder.path, 'sessions.db'))).toBe(false)
    expect(existsSync(join(folder.path, 'users.db'))).toBe(true)
  })
})

describe('a server that cannot be used is said at the start, without its password', () => {
  const password = 'a-secret-password'

  test.each([
    [
      'REDIS_URL',
      `redis://me:${password}@127.0.0.1:1`,
      /Sessions cannot be kept in Redis at 127\.0\.0\.1:1 \(REDIS_URL\)\. .*ECONNREFUSED/,
    ],
    [
      'DATABASE_URL',
      `postgres://me:${password}@127.0.0.1:1/app`,
      /in Postgres at 127\.0\.0\.1:1\/app \(DATABASE_URL\)\. .*ECONNREFUSED/,
    ],
    [
      'MONGODB_URL',
      `mongodb://me:${password}@127.0.0.1:1,127.0.0.1:2/app`,
      /in MongoDB at 127\.0\.0\.1:1,127\.0\.0\.1:2\/app \(MONGODB_URL\)\. .*ECONNREFUSED/,
    ],
    ['MEMCACHED_URL', 'memcached://127.0.0.1:1', /in Memcached at 127\.0\.0\.1:1 \(MEMCACHED_URL\)\. .*cannot be reached/],
    ['REDIS_URL', password, /REDIS_URL must be an URL such as redis:\/\/localhost:6379/],
    ['MEMCACHED_URL', 'localhost', /MEMCACHED_URL must be an URL such as memcached:\/\/localhost:11211/],
    ['MONGODB_URL', 'mongodb:', /MONGODB_URL must be an URL such as mongodb:\/\/localhost:27017/],
    ['DATABASE_URL', 'https://127.0.0.1:1/', /DATABASE_URL must be an URL such as postgres:\/\//],
  ])('%s=%s', async (variable, url, words) => {
    const { code, output } = await failedStart({ DATA_DIR: folder.path, [variable]: url })
    expect([code, output]).toEqual([1, expect.stringMatching(words)])
    expect(output).not.toContain(password)
    expect(output).not.toMatch(/\n\s+at /)
  })

  test('two at once are refused, and both are named', async () => {
    const env = { REDIS_URL: `redis://me:${password}@127.0.0.1:1`, MEMCACHED_URL: 'memcached://127.0.0.1:1' }
    const { code, output } = await failedStart({ DATA_DIR: folder.path, ...env })
    expect([code, output]).toEqual([1, expect.stringMatching(/REDIS_URL and MEMCACHED_URL are set/)])
    expect(output).not.toContain(password)
  })
})

describe.skipIf(servers[1]?.missing)('Postgres with a wrong password', () => {
  test('is told apart from one that is away', async () => {
    const url = Object.assign(new URL(servers[1]?.url ?? ''), { password: 'wrong-one' })
    const { code, output } = await failedStart({ DATA_DIR: folder.path, DATABASE_URL: url.href })
    expect([code, output]).toEqual([1, expect.stringMatching(/Cannot start: .*password/)])
    expect(output).not.toContain('wrong-one')
  })
})
