import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AppProcess, admin, dataFolder, startApp } from './app-process.ts'
import { Client } from './client.ts'

const folder = dataFolder()
let app: AppProcess
const FRESH_MS = 2000

beforeAll(async () => {
  app = await startApp(folder.path, { FRESH_FOR: '2s' })
})
afterAll(async () => {
  await app.stop()
  folder.remove()
})

const first = 'correct horse battery'
const second = 'staple of another kind'
let people = 0

async function newcomer(): Promise<{ email: string; userId: string; client: Client }> {
  const email = `person${people++}@example.com`
  const client = new Client(app.url)
  const { userId } = (await (await client.post('/signup', { email, password: first })).json()) as { userId: string }
  return { email, userId, client }
}

async function signIn(email: string, password: string): Promise<{ client: Client; status: number }> {
  const client = new Client(app.url)
  return { client, status: (await client.post('/login', { email, password })).status }
}

async function said(answer: Response): Promise<unknown[]> {
  return [answer.status, await answer.json()]
}

async function statusOf(client: Client): Promise<number> {
  return (await client.get('/dashboard')).status
}

/** The newest reset link that was mailed to this address. */
async function mailedToken(email: string): Promise<string> {
  for (let tries = 0; tries < 100; tries++) {
    const line = app.output.findLast(each => each.startsWith(`Mail to ${email}: `))
    const token = line?.match(/token=(\S+)/)?.[1]
    if (token !== undefined) return token
    await pause(20)
  }
  throw new Error(`No mail to ${email}.`)
}

describe('throttling', () => {
  test('the eleventh wrong try in a row is not looked at: 429 with Retry-After, alike for an account and for none', async () => {
    const { email } = await newcomer()
    const answers: unknown[][] = []
    for (const address of [email, 'nobody@example.com']) {
      const stranger = new Client(app.url)
      const statuses: number[] = []
      for (let round = 0; round < 10; round++) {
        statuses.push((await stranger.post('/login', { email: address, password: 'wrong guess' })).status)
      }
      expect(statuses).toEqual(Array(10).fill(401))
      const refused = await stranger.post('/login', { email: address, password: first })
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
      answers.push([...(await said(refused)), [...refused.headers.keys()]])
    }
    expect(answers[0]).toEqual(answers[1])
    expect(answers[0]?.slice(0, 2)).toEqual([429, { error: 'Too many tries. Please wait a while.' }])
    const page = await new Client(app.url).submit('/login', { email, password: first })
    expect([page.status, (await page.text()).includes('Too many tries')]).toEqual([429, true])
  })

  test('the tries are counted in the database of the accounts', () => {
    const db = new DatabaseSync(join(folder.path, 'users.db'), { readOnly: true })
    const { count } = db.prepare('SELECT count(*) AS count FROM coatcheck_tries').get() ?? {}
    db.close()
    expect(Number(count)).toBeGreaterThan(0)
  })
})

test('a disabled account is signed out at once, and told what an unknown one is told', async () => {
  const { email, userId, client } = await newcomer()
  const boss = new Client(app.url)
  await boss.post('/login', admin)
  expect(await said(await boss.post(`/admin/users/${userId}/disable`))).toEqual([200, { ok: true }])
  expect(await statusOf(client)).toBe(401)
  const tell = async (address: string, password: string) => {
    const answer = await new Client(app.url).post('/login', { email: address, password })
    return [...(await said(answer)), [...answer.headers.keys()]]
  }
  const disabled = await tell(email, first)
  expect(disabled.slice(0, 2)).toEqual([401, { error: 'Invalid credentials' }])
  expect(await tell('no-such-person@example.com', first)).toEqual(disabled)
  const listed = async () => (await said(await boss.get(`/admin?q=${email}`)))[1]
  expect(await listed()).toMatchObject({ users: [{ email, disabled: true, sessions: 0 }] })
  expect((await boss.post(`/admin/users/${userId}/enable`)).status).toBe(200)
  expect(await listed()).toMatchObject({ users: [{ email, disabled: false }] })
  expect((await signIn(email, first)).status).toBe(200)
})

test('a demotion counts at the next request', async () => {
  const boss = new Client(app.url)
  await boss.post('/login', admin)
  const db = new DatabaseSync(join(folder.path, 'users.db'), { timeout: 5000 })
  const setRole = db.prepare('UPDATE users SET role = ? WHERE email = ?')
  const setDisabled = db.prepare('UPDATE users SET disabled = ? WHERE email = ?')
  try {
    setRole.run('member', admin.email)
    expect(await said(await boss.get('/admin'))).toEqual([403, { error: 'Forbidden' }])
    setRole.run('admin', admin.email)
    // As a disabling leaves it that met an outage before it could end the sessions.
    setDisabled.run(1, admin.email)
    expect(await said(await boss.get('/admin'))).toEqual([403, { error: 'Forbidden' }])
  } finally {
    setRole.run('admin', admin.email)
    setDisabled.run(0, admin.email)
    db.close()
  }
  expect((await boss.get('/admin')).status).toBe(200)
})

describe('changing the password', () => {
  test('asks for the present one, and ends the other devices at once', async () => {
    const { email, client } = await newcomer()
    const other = (await signIn(email, first)).client
    const wrong = await client.post('/account/password', { password: 'wrong guess', newPassword: second })
    expect(await said(wrong)).toEqual([401, { error: 'Invalid credentials' }])
    expect(await statusOf(other)).toBe(200)
    expect(await said(await client.post('/account/password', { password: first, newPassword: second }))).toEqual([
      200,
      { ok: true },
    ])
    expect([await statusOf(client), await statusOf(other)]).toEqual([200, 401])
    expect([(await signIn(email, first)).status, (await signIn(email, second)).status]).toEqual([401, 200])
    const told = app.output.filter(line => line.startsWith(`Mail to ${email}: `))
    expect(told).toEqual([expect.stringContaining('your password has been changed. If that was not you')])
  })

  test.each(['password1', 'Coatcheck2026'])('refuses one that is easy to guess: %s', async newPassword => {
    const { client } = await newcomer()
    const answer = await client.post('/account/password', { password: first, newPassword })
    expect([answer.status, Object.keys(((await answer.json()) as { fields: object }).fields)]).toEqual([400, ['newPassword']])
  })
})

describe('a forgotten password', () => {
  test('a link works once, ends every session, and signs nobody in', async () => {
    const { email, client } = await newcomer()
    expect(await said(await new Client(app.url).post('/forgot', { email }))).toEqual([200, { ok: true }])
    const token = await mailedToken(email)
    const stranger = new Client(app.url)
    expect(await said(await stranger.post('/reset', { token, password: second }))).toEqual([200, { ok: true }])
    expect([await statusOf(client), await statusOf(stranger)]).toEqual([401, 401])
    expect((await stranger.post('/reset', { token, password: 'a third one of those' })).status).toBe(400)
    expect([(await signIn(email, first)).status, (await signIn(email, second)).status]).toEqual([401, 200])
  })

  test('an address without an account is told the same, and gets no mail', async () => {
    expect(await said(await new Client(app.url).post('/forgot', { email: 'none@example.com' }))).toEqual([200, { ok: true }])
    await pause(100)
    expect(app.output.filter(line => line.includes('none@example.com'))).toEqual([])
  })

  test('a made-up link changes nothing', async () => {
    expect((await new Client(app.url).post('/reset', { token: 'x.y.z', password: second })).status).toBe(400)
  })
})

describe('dangerous acts', () => {
  test('need a recent sign-in or confirmation: 403 REAUTH_REQUIRED, never a sign-out', async () => {
    const { email, client } = await newcomer()
    await pause(FRESH_MS + 100)
    const stale = await client.post('/account/email', { email: `new-${email}` })
    expect([stale.status, (await stale.json()) as { code: string }]).toMatchObject([403, { code: 'REAUTH_REQUIRED' }])
    expect(await statusOf(client)).toBe(200)
    expect(await said(await client.post('/account/confirm', { password: 'wrong guess' }))).toEqual([
      401,
      { error: 'Invalid credentials' },
    ])
    expect(await said(await client.post('/account/confirm', { password: first }))).toEqual([200, { ok: true }])
    expect(await said(await client.post('/account/email', { email: `new-${email}` }))).toEqual([200, { ok: true }])
    expect((await signIn(`new-${email}`, first)).status).toBe(200)
  })

  test('ASVS 7.5.2: so does signing out other devices', async () => {
    const { email, client } = await newcomer()
    const { client: other } = await signIn(email, first)
    await pause(FRESH_MS + 100)
    const { sessions } = (await (await client.get('/account/sessions')).json()) as {
      sessions: { id: string; current: boolean }[]
    }
    const path = `/account/sessions/${sessions.find(({ current }) => !current)?.id}`
    const acts = {
      others: () => client.post('/account/sessions/revoke-others'),
      form: () => client.post(`${path}/revoke`),
      one: () => client.delete(path),
    }
    for (const act of Object.values(acts)) expect((await act()).status).toBe(403)
    expect([await statusOf(client), await statusOf(other)]).toEqual([200, 200])
    await client.post('/account/confirm', { password: first })
    expect(await said(await acts.one())).toEqual([200, { ok: true }])
    expect(await statusOf(other)).toBe(401)
  })

  test('a change of address is told to the old one, before it happens; one that is taken is told to nobody', async () => {
    const { email, client } = await newcomer()
    expect((await client.post('/account/email', { email: admin.email })).status).toBe(409)
    expect((await client.post('/account/email', { email: `new-${email}` })).status).toBe(200)
    const told = app.output.filter(line => line.startsWith(`Mail to ${email}: `))
    expect(told).toEqual([expect.stringContaining(`becomes new-${email}. If that was not you`)])
  })

  test('where no mail can be sent, an address stays as it is', async () => {
    const own = dataFolder()
    const env = { NODE_ENV: 'production', SESSION_SECRET: 'x'.repeat(32) }
    const production = await startApp(own.path, env)
    try {
      // TLS ends at a proxy, which is why the cookie may be Secure.
      const client = new Client(production.url)
      await client.post('/login', admin)
      const answer = await client.post('/account/email', { email: 'other@example.com' })
      expect([answer.status, ((await answer.json()) as { error: string }).error]).toEqual([
        503,
        expect.stringMatching(/^We cannot send mail/),
      ])
      expect((await new Client(production.url).post('/login', admin)).status).toBe(200)
    } finally {
      await production.stop()
      own.remove()
    }
  })

  test('of an administrator too; a form is led to the confirmation and back', async () => {
    const { userId } = await newcomer()
    const boss = new Client(app.url, { referer: `${app.url}/admin` })
    await boss.post('/login', admin)
    await pause(FRESH_MS + 100)
    expect((await boss.get('/admin')).status).toBe(200)
    expect((await boss.delete(`/users/${userId}`)).status).toBe(403)
    const led = await boss.submit(`/users/${userId}/delete`)
    expect([led.status, led.headers.get('location')]).toEqual([303, '/account/confirm?returnTo=%2Fadmin'])
    const confirmed = await boss.submit('/account/confirm', { password: admin.password, returnTo: '/admin' })
    expect([confirmed.status, confirmed.headers.get('location')]).toEqual([303, '/admin'])
    expect(await said(await boss.delete(`/users/${userId}`))).toEqual([200, { ok: true, revoked: 1 }])
  })

  test('an address that another account has is refused', async () => {
    const { client } = await newcomer()
    expect((await client.post('/account/email', { email: admin.email })).status).toBe(409)
  })
})
