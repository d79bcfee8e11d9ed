import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AppProcess, admin, dataFolder, member, startApp } from './app-process.ts'
import { Client } from './client.ts'
import { withoutSessionStore } from './outage.ts'

const MAC =
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36'
const IPHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1'

const folder = dataFolder()
let app: AppProcess

beforeAll(async () => {
  app = await startApp(folder.path)
})
afterAll(async () => {
  await app.stop()
  folder.remove()
})

function visitor(headers: Record<string, string> = {}): Client {
  return new Client(app.url, headers)
}

async function signedIn(who: { email: string; password: string }, headers: Record<string, string> = {}): Promise<Client> {
  const client = visitor(headers)
  expect((await client.post('/login', who)).status).toBe(200)
  return client
}

/** The session's cookie, and that of its CSRF token. */
const endedCookies = [expect.stringMatching(/^sid=; Max-Age=0; /), expect.stringMatching(/^csrf-token=; Max-Age=0; /)]

/** What the hidden field of a page's forms holds. */
async function tokenIn(client: Client): Promise<string> {
  const page = await (await client.get('/dashboard', { accept: 'text/html' })).text()
  return /name="_csrf" value="([^"]+)"/.exec(page)?.[1] ?? ''
}

let people = 0

/** Somebody new, so that tests do not see each other's sessions. */
async function newcomer(): Promise<{ email: string; password: string; userId: string }> {
  const who = { email: `person${people++}@example.com`, password: 'correct horse battery' }
  const { userId } = await json(await visitor().post('/signup', who))
  return { ...who, userId: String(userId) }
}

async function json(response: Response): Promise<Record<string, unknown>> {
  return (await response.json()) as Record<string, unknown>
}

async function timeOf(credentials: object): Promise<number> {
  const begin = performance.now()
  await visitor().post('/login', credentials)
  return performance.now() - begin
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

interface ListedDevice {
  id: string
  current: boolean
  device: string
  ip: string
}

async function devicesOf(client: Client): Promise<ListedDevice[]> {
  return (await json(await client.get('/account/sessions'))).sessions as ListedDevice[]
}

describe('signing in', () => {
  test('answers with the user id, and the dashboard knows the person and the role', async () => {
    const client = visitor()
    const answer = await client.post('/login', member)
    expect(answer.status).toBe(200)
    const { ok, userId } = await json(answer)
    expect({ ok, type: typeof userId }).toEqual({ ok: true, type: 'string' })
    const dashboard = await client.get('/dashboard')
    expect([dashboard.status, await dashboard.json()]).toEqual([200, { userId, role: 'member' }])
  })

  test('does not care about the case of an e-mail address', async () => {
    expect((await visitor().post('/login', { ...member, email: 'MEMBER@Example.com' })).status).toBe(200)
  })

  test('says the same of an unknown address as of a wrong password', async () => {
    const wrong = await visitor().post('/login', { ...member, password: 'not the password' })
    const unknown = await visitor().post('/login', { ...member, email: 'nobody@example.com' })
    expect([wrong.status, await wrong.json()]).toEqual([401, { error: 'Invalid credentials' }])
    expect([unknown.status, await unknown.json()]).toEqual([401, { error: 'Invalid credentials' }])
    expect([...unknown.headers.keys()]).toEqual([...wrong.headers.keys()])
    expect(wrong.headers.getSetCookie()).toEqual([])
  })

  test('takes as long for an unknown address as for a wrong password', async () => {
    const unknown: number[] = []
    const wrong: number[] = []
    for (let round = 0; round < 15; round++) {
      // Another account each time: tries against one are soon refused unseen.
      const { email } = await newcomer()
      unknown.push(await timeOf({ email: `nobody${round}@example.com`, password: 'some password' }))
      wrong.push(await timeOf({ email, password: 'some password' }))
    }
    const ratio = median(unknown) / median(wrong)
    // Without the hash for nobody it is under 0.2.
    expect(ratio).toBeGreaterThan(0.5)
    expect(ratio).toBeLessThan(2)
  })

  test('with "remember" gives a cookie that outlives the browser window, without it one that does not', async () => {
    const [kept] = (await visitor().post('/login', { ...member, remember: true })).headers.getSetCookie()
    const [short] = (await visitor().post('/login', member)).headers.getSetCookie()
    expect(kept).toMatch(/^sid=[\w.-]+; Max-Age=25(?:92000|919\d\d); Path=\/; HttpOnly; SameSite=Lax$/)
    expect(short).toMatch(/^sid=[\w.-]+; Path=\/; HttpOnly; SameSite=Lax$/)
  })

  test('by a form leads to the dashboard, or back to where the person was going', async () => {
    const plain = await visitor().submit('/login', member)
    expect([plain.status, plain.headers.get('location')]).toEqual([303, '/dashboard'])
    const sentAway = await visitor().get('/account/sessions?a=1', { accept: 'text/html' })
    expect([sentAway.status, sentAway.headers.get('location')]).toEqual([303, '/login?returnTo=%2Faccount%2Fsessions%3Fa%3D1'])
    const back = await visitor().submit('/login', { ...member, returnTo: '/account/sessions?a=1' })
    expect(back.headers.get('location')).toBe('/account/sessions?a=1')
  })

  test.each([
    '//evil.example',
    '/\\evil.example',
    'https:evil.example',
    '/.//evil.example',
    'https://evil.example/',
    '/%09/evil',
  ])('never leads to another site: %s', async returnTo => {
    const location = (await visitor().submit('/login', { ...member, returnTo })).headers.get('location') ?? ''
    expect(new URL(location, 'http://here.example').origin).toBe('http://here.example')
    expect(location).not.toMatch(/^\/\//)
  })

  test('by a form with a wrong password shows the form again, with the address and without the password', async () => {
    const answer = await visitor().submit('/login', { ...member, password: 'wrong <b>"password"</b>' })
    const page = await answer.text()
    expect([answer.status, page.includes('value="member@example.com"'), page.includes('wrong &lt;b')]).toEqual([401, true, false])
    expect(page).toContain('The e-mail address or the password is wrong.')
  })
})

describe('signing up', () => {
  test('makes a member and signs them in', async () => {
    const client = visitor()
    const answer = await client.post('/signup', { email: 'ada@example.com', password: 'correct horse battery' })
    const { ok, userId } = await json(answer)
    expect([answer.status, ok]).toEqual([201, true])
    expect(await json(await client.get('/dashboard'))).toEqual({ userId, role: 'member' })
  })

  test('nobody makes themselves an administrator', async () => {
    const client = visitor()
    await client.post('/signup', { email: 'eve@example.com', password: 'correct horse battery', role: 'admin' })
    expect((await json(await client.get('/dashboard'))).role).toBe('member')
  })

  test('refuses an address that has an account', async () => {
    const answer = await visitor().post('/signup', { ...member, email: ' Member@example.com ' })
    expect([answer.status, Object.keys(await json(answer))]).toEqual([409, ['error', 'fields']])
  })

  test('takes 64 characters and more, and every one of them counts', async () => {
    const who = { email: 'long@example.com', password: 'ü🧥'.repeat(2000) }
    expect((await visitor().post('/signup', who)).status).toBe(201)
    expect((await visitor().post('/login', who)).status).toBe(200)
    expect((await visitor().post('/login', { ...who, password: `${who.password.slice(0, -1)}x` })).status).toBe(401)
  })

  test('shows what was typed as text, never as markup', async () => {
    const page = await (await visitor().submit('/signup', { email: '"><script>alert(1)</script>', password: 'x' })).text()
    expect(page).toContain('value="&quot;&gt;&lt;script&gt;')
    expect(page).not.toContain('<script')
  })
})

describe('what is wrong with a request is said in JSON', () => {
  test('a field that is missing, by its name', async () => {
    const answer = await visitor().post('/login', { password: 'x' })
    expect([answer.status, await answer.json()]).toEqual([
      400,
      { error: 'Please check what you entered.', fields: { email: 'Enter your e-mail address.' } },
    ])
  })

  test.each([
    { email: 'no address', password: 'long enough' },
    { email: 'a@b.example', password: 'short' },
    { email: 'a@b.example', password: 'x'.repeat(5000) },
    { email: ['a@b.example'], password: { length: 20 } },
    { email: 'a@b.example', password: 'long enough', remember: 'yes please' },
    [],
    'text',
    null,
  ])('sign-up with %j', async body => {
    const answer = await visitor().post('/signup', body)
    expect(answer.status).toBe(400)
    expect(Object.keys(await json(answer))).toEqual(expect.arrayContaining(['error']))
  })

  test.each([
    [400, 'Malformed JSON', 'application/json', '{"email":'],
    [413, 'Request body too large', 'application/json', `{"email":"${'x'.repeat(70_000)}"}`],
    [415, 'Unsupported Media Type', 'application/json; charset=nonsense', '{}'],
  ])('%i %s', async (status, error, type, body) => {
    const answer = await visitor().raw('/login', { 'content-type': type }, body)
    expect([answer.status, await answer.json()]).toEqual([status, { error }])
  })

  test('an address that leads nowhere', async () => {
    const answer = await visitor().get('/nothing')
    expect([answer.status, await answer.json()]).toEqual([404, { error: 'Not found' }])
  })
})

describe('signing out', () => {
  test('ends the session itself, not only its cookie', async () => {
    const client = await signedIn(member)
    const stolen = new Client(app.url, { cookie: client.cookie })
    expect((await stolen.get('/dashboard')).status).toBe(200)
    const answer = await client.post('/logout')
    expect([answer.status, await answer.json()]).toEqual([200, { ok: true }])
    expect(answer.headers.getSetCookie()).toEqual(endedCookies)
    const after = await stolen.get('/dashboard')
    expect([after.status, await after.json()]).toEqual([401, { error: 'Not authenticated' }])
  })

  test('is no error where nobody is signed in', async () => {
    expect(await json(await visitor().post('/logout'))).toEqual({ ok: true })
  })

  test('ASVS 3.5.3: it, and whatever else changes something, needs more than a link', async () => {
    const who = await newcomer()
    const [client, other, boss] = [await signedIn(who), await signedIn(who), await signedIn(admin)]
    const [own] = await devicesOf(client)
    const acts = [
      '/logout',
      '/account/sessions/revoke-others',
      `/account/sessions/${own?.id}`,
      `/account/sessions/${own?.id}/revoke`,
    ]
    const adminActs = ['revoke-sessions', 'disable'].map(act => `/admin/users/${who.userId}/${act}`)
    const bossActs = [...adminActs, '/admin/revoke-everyone', `/users/${who.userId}`, `/users/${who.userId}/delete`]
    for (const [{ cookie }, paths] of [
      [client, acts],
      [boss, bossActs],
    ] as const) {
      for (const path of paths) {
        for (const method of ['GET', 'HEAD']) {
          const { status } = await fetch(app.url + path, { method, headers: { cookie } })
          expect([method, path, status]).toEqual([method, path, 404])
        }
      }
    }
    for (const each of [client, other, boss]) expect((await each.get('/dashboard')).status).toBe(200)
  })
})

describe('devices', () => {
  test('are listed, this one first, without tokens and without User-Agent texts', async () => {
    const who = await newcomer()
    const phone = await signedIn(who, { 'user-agent': IPHONE })
    await signedIn(who, { 'user-agent': 'curl/8.5.0' })
    const mac = await signedIn(who, { 'user-agent': MAC })
    const devices = await devicesOf(phone)
    expect(devices.map(({ device, current, ip }) => [device, current, ip])).toEqual([
      ['Safari on iOS', true, '127.0.0.1'],
      ['Chrome on macOS', false, '127.0.0.1'],
      ['curl', false, '127.0.0.1'],
      ['node', false, '127.0.0.1'],
    ])
    const text = JSON.stringify(devices)
    const token = mac.cookie.split('=')[1] ?? ''
    for (const secret of [token.split('.')[1] ?? '?', 'AppleWebKit', 'tokenHash']) expect(text).not.toContain(secret)
  })

  test('one that is signed out from another knows it at its next request', async () => {
    const who = await newcomer()
    const [phone, mac] = [await signedIn(who, { 'user-agent': IPHONE }), await signedIn(who, { 'user-agent': MAC })]
    const other = (await devicesOf(mac)).find(({ device }) => device === 'Safari on iOS')
    const answer = await mac.delete(`/account/sessions/${other?.id}`)
    expect([answer.status, await answer.json()]).toEqual([200, { ok: true }])
    expect((await phone.get('/dashboard')).status).toBe(401)
    expect((await mac.get('/dashboard')).status).toBe(200)
    expect((await mac.delete(`/account/sessions/${other?.id}`)).status).toBe(404)
  })

  test('this one can be signed out there too', async () => {
    const client = await signedIn(await newcomer())
    const [own] = await devicesOf(client)
    const answer = await client.delete(`/account/sessions/${own?.id}`)
    expect([answer.status, answer.headers.getSetCookie()]).toEqual([200, endedCookies])
    expect((await client.get('/dashboard')).status).toBe(401)
  })

  test('of other people are out of reach', async () => {
    const [mine, theirs] = [await signedIn(await newcomer()), await signedIn(await newcomer())]
    const [target] = await devicesOf(theirs)
    expect((await mine.delete(`/account/sessions/${target?.id}`)).status).toBe(404)
    expect((await theirs.get('/dashboard')).status).toBe(200)
  })

  test('all others are signed out at once, and counted', async () => {
    const who = await newcomer()
    const others = [await signedIn(who), await signedIn(who)]
    const client = await signedIn(who)
    expect(await json(await client.post('/account/sessions/revoke-others'))).toEqual({ ok: true, revoked: 3 })
    expect(await Promise.all(others.map(async other => (await other.get('/dashboard')).status))).toEqual([401, 401])
    expect(await devicesOf(client)).toHaveLength(1)
  })

  test('the count is told on the page, once', async () => {
    const who = await newcomer()
    const client = await signedIn(who)
    const answer = await client.submit('/account/sessions/revoke-others')
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/account/sessions'])
    const page = () => client.get('/account/sessions', { accept: 'text/html' }).then(response => response.text())
    expect(await page()).toContain('One other device has been signed out.')
    expect(await page()).not.toContain('signed out.')
  })

  test.each([
    ['GET', '/account/sessions'],
    ['DELETE', '/account/sessions/x'],
    ['POST', '/account/sessions/revoke-others'],
    ['DELETE', '/users/x'],
    ['GET', '/admin'],
    ['POST', '/admin/revoke-everyone'],
    ['POST', '/admin/users/x/revoke-sessions'],
  ])('%s %s needs a sign-in', async (method, path) => {
    const answer = await fetch(app.url + path, { method, headers: { 'x-requested-with': 'fetch' } })
    expect([answer.status, await answer.json()]).toEqual([401, { error: 'Not authenticated' }])
  })

  test('a browser whose session has ended is led to the sign-in when it sends a form', async () => {
    const answer = await visitor().submit('/account/sessions/revoke-others')
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/login?ended'])
  })
})

describe('administration', () => {
  test.each([
    ['DELETE', '/users/x'],
    ['POST', '/admin/users/x/revoke-sessions'],
    ['POST', '/admin/revoke-everyone'],
    ['GET', '/admin'],
  ])('a member may not %s %s', async (method, path) => {
    const client = await signedIn(member)
    const answer = await fetch(app.url + path, { method, headers: { cookie: client.cookie, 'x-requested-with': 'fetch' } })
    expect([answer.status, await answer.json()]).toEqual([403, { error: 'Forbidden' }])
    expect((await client.get('/dashboard')).status).toBe(200)
  })

  test('a deleted person is signed out everywhere, and cannot sign in again', async () => {
    const who = await newcomer()
    const [one, two, boss] = [await signedIn(who), await signedIn(who), await signedIn(admin)]
    const answer = await boss.delete(`/users/${who.userId}`)
    expect([answer.status, await answer.json()]).toEqual([200, { ok: true, revoked: 3 }])
    expect([(await one.get('/dashboard')).status, (await two.get('/dashboard')).status]).toEqual([401, 401])
    expect((await visitor().post('/login', who)).status).toBe(401)
    expect((await boss.delete(`/users/${who.userId}`)).status).toBe(404)
  })

  test('administrators cannot delete themselves', async () => {
    const boss = await signedIn(admin)
    const { userId } = await json(await boss.get('/dashboard'))
    const answer = await boss.delete(`/users/${userId}`)
    expect([answer.status, (await json(answer)).error]).toEqual([409, expect.stringContaining('your own account')])
    expect((await boss.get('/dashboard')).status).toBe(200)
  })

  test("one person's sessions are ended, the account stays", async () => {
    const who = await newcomer()
    const [client, boss] = [await signedIn(who), await signedIn(admin)]
    expect(await json(await boss.post(`/admin/users/${who.userId}/revoke-sessions`))).toEqual({ ok: true, revoked: 2 })
    expect((await client.get('/dashboard')).status).toBe(401)
    expect((await visitor().post('/login', who)).status).toBe(200)
    expect((await boss.post('/admin/users/nobody/revoke-sessions')).status).toBe(404)
  })

  test('people are listed, found, and never with a hash', async () => {
    const boss = await signedIn(admin)
    const found = await json(await boss.get('/admin?q=MEMBER@'))
    expect(found).toMatchObject({ users: [{ email: member.email, role: 'member' }], next: null })
    expect(JSON.stringify(await json(await boss.get('/admin')))).not.toMatch(/argon2|passwordHash/)
  })

  test('everybody is signed out, the administrator too, once it was typed', async () => {
    const [client, boss] = [await signedIn(member), await signedIn(admin)]
    const unsure = await boss.submit('/admin/revoke-everyone', { confirm: 'yes' })
    expect([unsure.status, (await client.get('/dashboard')).status]).toEqual([400, 200])
    const sure = await boss.submit('/admin/revoke-everyone', { confirm: 'Sign out everyone' })
    expect([sure.status, sure.headers.get('location')]).toEqual([303, '/login?everyone'])
    expect([(await client.get('/dashboard')).status, (await boss.get('/dashboard')).status]).toEqual([401, 401])
    const again = await signedIn(admin)
    expect(await json(await again.post('/admin/revoke-everyone'))).toEqual({ ok: true })
    expect((await again.get('/dashboard')).status).toBe(401)
  })
})

describe('pages', () => {
  const html = { accept: 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8' }

  test.each(['/', '/login', '/signup', '/forgot', '/reset?token=x', '/nothing'])('%s sets no cookie', async path => {
    const browser = { ...html, 'sec-fetch-site': 'none' }
    expect((await visitor().get(path, browser)).headers.getSetCookie()).toEqual([])
  })

  test.each(['/', '/nothing'])('%s, without a form, sets none in the oldest browser either', async path => {
    expect((await visitor().get(path, html)).headers.getSetCookie()).toEqual([])
  })

  test.each([
    ['/login', { ...member }, 303],
    ['/signup', { email: 'old.browser@example.com', password: 'correct horse battery' }, 303],
    ['/forgot', { email: 'nobody@example.com' }, 200],
    ['/reset', { token: 'x', password: 'correct horse battery' }, 400],
  ])('the form of %s works in a browser that says nothing of where it comes from, by its token', async (path, fields, status) => {
    const headers = { ...html, 'content-type': 'application/x-www-form-urlencoded' }
    const client = visitor()
    const page = await (await client.get(path, html)).text()
    const token = new RegExp(`action="${path}"[^>]*><input type="hidden" name="_csrf" value="([^"]+)"`).exec(page)?.[1] ?? ''
    const send = (who: Client, _csrf: string) => who.raw(path, headers, new URLSearchParams({ ...fields, _csrf }).toString())
    for (const [who, forged] of [
      [client, ''],
      [visitor(), token],
    ] as const)
      expect((await send(who, forged)).status).toBe(403)
    expect((await send(client, token)).status).toBe(status)
  })

  test('allow no script, no other host and no frame, and keep the referrer on the site', async () => {
    const { headers } = await visitor().get('/login', html)
    expect(headers.get('content-security-policy')).toMatch(/^default-src 'none';style-src 'self';.*frame-ancestors 'none'$/)
    expect(headers.get('referrer-policy')).toBe('same-origin')
    expect(headers.get('x-powered-by')).toBeNull()
  })

  test('link to a style sheet that may be kept for good, since its name changes with it', async () => {
    const page = await (await visitor().get('/login', html)).text()
    const path = page.match(/href="(\/assets\/style\.[0-9a-f]{12}\.css)"/)?.[1] ?? ''
    const { status, headers } = await visitor().get(path)
    expect([status, headers.get('cache-control')]).toEqual([200, 'public, max-age=31536000, immutable'])
  })

  test.each(['/dashboard', '/account/sessions', '/nothing', '/admin'])('%s has a sign-out button', async path => {
    const client = await signedIn(member)
    const response = await client.get(path, html)
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(await response.text()).toMatch(
      /<form class="sign-out" method="post" action="\/logout"><input type="hidden" name="_csrf" value="[\w.-]+"><button/,
    )
  })

  test('of signed-in people are kept by no cache', async () => {
    const client = await signedIn(member)
    expect((await client.get('/dashboard', html)).headers.get('cache-control')).toBe('private, no-store')
  })

  test('tell password managers what goes where', async () => {
    const [login, signup] = await Promise.all(['/login', '/signup'].map(async path => (await visitor().get(path, html)).text()))
    expect(login).toMatch(/autocomplete="username"[\s\S]*autocomplete="current-password"/)
    expect(signup).toMatch(/autocomplete="username"[\s\S]*autocomplete="new-password"/)
    for (const page of [login, signup]) expect(page).toMatch(/<input id="password" name="password" type="password"/)
  })

  test('are embedded by no other site, and no other origin may read them', async () => {
    const { headers } = await visitor().get('/login', { ...html, origin: 'https://evil.example' })
    expect(headers.get('cross-origin-resource-policy')).toBe('same-origin')
    expect(headers.get('access-control-allow-origin')).toBeNull()
  })

  test.each([
    ['/nothing', 404, 'Nothing here'],
    ['/admin', 403, 'Not for you'],
  ])('%s is a page with status %i', async (path, status, title) => {
    const client = await signedIn(member)
    const response = await client.get(path, html)
    expect([response.status, (await response.text()).includes(`<h1>${title}</h1>`)]).toEqual([status, true])
  })
})

describe('requests that another site makes', () => {
  test.each([
    [{ 'sec-fetch-site': 'cross-site' }],
    [{ 'sec-fetch-site': 'same-site' }],
    [{ origin: 'http://evil.example' }],
    [{ origin: 'null' }],
  ])('are refused: %j', async headers => {
    const client = await signedIn(member)
    const answer = await client.raw('/logout', headers, '')
    expect([answer.status, (await json(answer)).error]).toEqual([403, 'Cross-origin request refused'])
    expect((await client.get('/dashboard')).status).toBe(200)
  })

  test('are refused where nothing says whose they are, unless the token of the session comes along', async () => {
    const client = await signedIn(member)
    const form = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' }
    const other = await signedIn(member)
    for (const token of ['', 'x.y', await tokenIn(other)]) {
      const answer = await client.raw('/logout', form, new URLSearchParams({ _csrf: token }).toString())
      expect([answer.status, (await json(answer)).error]).toEqual([403, 'Invalid CSRF token'])
    }
    expect((await client.get('/dashboard')).status).toBe(200)
    const answer = await client.raw('/logout', form, new URLSearchParams({ _csrf: await tokenIn(client) }).toString())
    expect(answer.status).toBe(200)
    expect((await client.get('/dashboard')).status).toBe(401)
  })

  test('a token does not override what the headers say', async () => {
    const client = await signedIn(member)
    const body = new URLSearchParams({ _csrf: await tokenIn(client) }).toString()
    const headers = { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'cross-site' }
    expect((await client.raw('/logout', headers, body)).status).toBe(403)
  })

  test('a page script reads the csrf-token cookie and sends it back', async () => {
    const client = await signedIn(member)
    const token = /csrf-token=([^;]+)/.exec(client.cookie)?.[1] ?? ''
    expect((await client.raw('/logout', { 'x-csrf-token': token }, '')).status).toBe(200)
  })

  test('a sign-in cannot be forged either', async () => {
    const answer = await visitor().raw(
      '/login',
      { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'cross-site' },
      new URLSearchParams(member).toString(),
    )
    expect([answer.status, answer.headers.getSetCookie()]).toEqual([403, []])
  })

  test('are ours where the origin is ours', async () => {
    const client = await signedIn(member)
    expect((await client.raw('/logout', { origin: app.url }, '')).status).toBe(200)
  })
})

describe('an outage of the session store', () => {
  test('is neither a sign-out nor a sign-in: 503, in JSON or as a page, and over when the store is back', async () => {
    const client = await signedIn(member)
    await withoutSessionStore(folder.path, async () => {
      const told = await client.get('/dashboard')
      expect([told.status, await told.json()]).toEqual([503, { error: 'Service unavailable', code: 'STORE_UNAVAILABLE' }])
      const page = await client.get('/dashboard', { accept: 'text/html' })
      expect([page.status, (await page.text()).includes('<h1>Back in a moment</h1>')]).toEqual([503, true])
      expect((await visitor().post('/login', member)).status).toBe(503)
      expect((await visitor().get('/login', { accept: 'text/html' })).status).toBe(200)
    })
    expect((await client.get('/dashboard')).status).toBe(200)
  })
})
