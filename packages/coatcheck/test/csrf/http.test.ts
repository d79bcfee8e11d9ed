import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { SessionEvents } from '../../src/core/events.ts'
import { createSessions, type Sessions } from '../../src/core/sessions.ts'
import type { CsrfRuleOptions } from '../../src/csrf/options.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { Browser, SECRET } from '../core/world.ts'
import { type Act, type Kind, kinds, type Received, type Running, type Sent } from './apps.ts'

const OLD_SECRET = 'another secret of thirty-two bytes or more, for tests'
const CROSS_ORIGIN = { error: 'Cross-origin request refused', code: 'CROSS_ORIGIN' }
const BAD_TOKEN = { error: 'Invalid CSRF token', code: 'BAD_CSRF_TOKEN' }
const form = { 'content-type': 'application/x-www-form-urlencoded' }
const json = { 'content-type': 'application/json' }

/** How often an act ran: a refusal that comes after the act is none. */
let changed = 0

const acts: Readonly<Record<string, Act>> = {
  'GET /': () => 'hello',
  'GET /token': ({ session }, csrfToken) => csrfToken(session),
  'GET /two-forms': ({ session }, csrfToken) => `${csrfToken(session)} ${csrfToken(session)}`,
  'GET /cart': ({ session }, csrfToken) => {
    Object.assign(session, { cart: ['coat'] })
    return csrfToken(session)
  },
  'POST /change': () => `changed ${++changed}`,
  'PUT /change': () => `changed ${++changed}`,
  'DELETE /change': () => `changed ${++changed}`,
  'POST /saml/acs': () => `changed ${++changed}`,
  'POST /login': async ({ session }) => {
    await session.login('ann')
    return 'in'
  },
  'POST /rotate': async ({ session }) => {
    await session.rotate()
    return 'rotated'
  },
  'POST /logout': async ({ session }) => {
    await session.logout()
    return 'out'
  },
}

/** A browser that sends what it is told to, and keeps cookies. */
class Client extends Browser {
  readonly #app: Running

  constructor(app: Running) {
    super()
    this.#app = app
  }

  async ask(sent: Sent): Promise<Received> {
    const cookie = this.cookie === undefined ? undefined : { cookie: this.cookie }
    const received = await this.#app.send({ ...sent, headers: { ...cookie, ...sent.headers } })
    this.receive(received.setCookie)
    return received
  }

  get(path: string): Promise<Received> {
    return this.ask({ method: 'GET', path })
  }

  /** As a form of an old browser, which sends neither `Origin` nor `Sec-Fetch-Site`. */
  submit(path: string, fields: Record<string, string> = {}, headers: Record<string, string> = {}): Promise<Received> {
    const body = headers['content-type'] === json['content-type'] ? '{}' : `${new URLSearchParams({ x: '1', ...fields })}`
    return this.ask({ path, headers: { ...form, ...headers }, body })
  }

  async signIn(csrf: Record<string, string> = {}): Promise<void> {
    expect((await this.ask({ path: '/login', headers: { ...json, ...csrf } })).body).toBe('in')
  }

  /** The same browser before another app, or in another tab. */
  twin(app: Running): Client {
    const twin = new Client(app)
    for (const [name, value] of this.jar) twin.jar.set(name, value)
    return twin
  }

  async token(path = '/token'): Promise<string> {
    return (await this.get(path)).body
  }
}

describe.each(kinds)('$name', kind => {
  let sessions: Sessions
  let app: Running
  let client: Client
  let refusals: SessionEvents['request.refused'][]

  async function start(options: CsrfRuleOptions = {}): Promise<void> {
    sessions = createSessions({ store: memoryStore(), secret: SECRET, production: false })
    refusals = []
    sessions.on('request.refused', event => void refusals.push(event))
    app = await kind.start(sessions, options, acts)
    client = new Client(app)
    changed = 0
  }

  async function stop(): Promise<void> {
    await app.close()
    await sessions.close()
  }

  /** The refusal, and that nothing happened. */
  function expectRefused(received: Received, body: object): void {
    expect([received.status, JSON.parse(received.body)]).toEqual([403, body])
    expect(received.headers['content-type']).toBe('application/json; charset=utf-8')
    expect(received.headers['cache-control']).toBe('no-store')
    expect(changed).toBe(0)
  }

  describe('by headers', () => {
    beforeEach(() => start({ trustedOrigins: ['https://trusted.example.org'], exempt: ['POST /saml/acs'] }))
    afterEach(stop)

    test.each([
      ['same-origin', () => ({ 'sec-fetch-site': 'same-origin' })],
      ['typed in by the person', () => ({ 'sec-fetch-site': 'none' })],
      ['cross-site from a trusted origin', () => ({ 'sec-fetch-site': 'cross-site', origin: 'https://trusted.example.org' })],
      ['our own Origin, without Sec-Fetch-Site', () => ({ origin: `http://${app.host}` })],
      ['neither, with JSON', () => json],
      ['neither, with X-Requested-With', () => ({ 'x-requested-with': 'curl' })],
      ['neither, with a bearer', () => ({ authorization: 'Bearer abc' })],
    ])('%s passes, signed in or not', async (_, headers) => {
      expect((await client.submit('/change', {}, headers())).body).toBe('changed 1')
      await client.signIn()
      expect((await client.submit('/change', {}, headers())).body).toBe('changed 2')
    })

    test.each([
      ['cross-site (ASVS 3.5.3)', () => ({ 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' })],
      ['same-site', () => ({ 'sec-fetch-site': 'same-site', origin: `http://blog.${app.host}` })],
      ['cross-site with JSON', () => ({ ...json, 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' })],
      ['another Origin', () => ({ origin: 'https://evil.example' })],
      ['our host as userinfo', () => ({ origin: `http://${app.host}@evil.example` })],
      ['our host on another port', () => ({ origin: 'http://localhost:1' })],
      ['our host over https', () => ({ origin: `https://${app.host}` })],
      ['null', () => ({ origin: 'null' })],
      ['our Origin, addressed to another Host', () => ({ origin: `http://${app.host}`, host: 'app.example.com' })],
    ])('%s is refused, signed in or not: a sign-in can be forged too', async (_, headers) => {
      expectRefused(await client.submit('/change', {}, headers()), CROSS_ORIGIN)
      expectRefused(await client.submit('/login', {}, headers()), CROSS_ORIGIN)
      expect(client.jar.size).toBe(0)
      await client.signIn()
      expectRefused(await client.submit('/change', {}, headers()), CROSS_ORIGIN)
      expect(await client.whoAmI(sessions)).toBe('ann')
    })

    test('a token never overrides a refusal by headers', async () => {
      await client.signIn()
      const token = await client.token()
      const evil = { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example', 'x-csrf-token': token }
      expectRefused(await client.submit('/change', { _csrf: token }, evil), CROSS_ORIGIN)
      expectRefused(await client.submit('/change', { _csrf: token }, { origin: 'null' }), CROSS_ORIGIN)
    })

    test.each(['PUT', 'DELETE', 'POST'])('%s is checked', async method => {
      expectRefused(await client.ask({ method, path: '/change', headers: { 'sec-fetch-site': 'cross-site' } }), CROSS_ORIGIN)
    })

    test('a request that passes costs no look at the session', async () => {
      await client.signIn()
      const headers = { ...form, 'sec-fetch-site': 'same-origin' }
      expect((await client.get('/')).headers.vary).toBeUndefined()
      expect((await client.ask({ path: '/change', headers, body: 'x=1' })).headers.vary).toBeUndefined()
      expect((await client.get('/token')).headers.vary).toBe('Cookie')
    })

    test('GET and HEAD pass from anywhere', async () => {
      const headers = { 'sec-fetch-site': 'cross-site' }
      expect((await client.ask({ method: 'GET', path: '/', headers })).body).toBe('hello')
      expect((await client.ask({ method: 'HEAD', path: '/', headers })).status).toBe(200)
    })

    test('the exempt route passes, with a query too, and nothing near it', async () => {
      const headers = { ...form, origin: 'https://idp.example' }
      for (const path of ['/saml/acs/', '/saml/ACS', '/saml/acs/../../change', '//saml/acs', '/saml%2Facs', '/change?/saml/acs'])
        expectRefused(await client.ask({ path, headers, body: 'x=1' }), CROSS_ORIGIN)
      expectRefused(await client.ask({ method: 'PUT', path: '/saml/acs', headers, body: 'x=1' }), CROSS_ORIGIN)
      expect((await client.ask({ path: '/saml/acs', headers, body: 'x=1' })).body).toBe('changed 1')
      expect((await client.ask({ path: '/saml/acs?x=1', headers, body: 'x=1' })).body).toBe('changed 2')
    })

    test('a refusal is told, with whose session came along, and without a token (ASVS 16.3.3)', async () => {
      await client.signIn()
      await client.submit('/change', {}, { origin: `https://evil.example/${'x'.repeat(400)}` })
      expect(refusals).toHaveLength(1)
      expect(refusals[0]).toMatchObject({ userId: 'ann', error: { code: 'CROSS_ORIGIN' } })
      expect(refusals[0]?.origin).toHaveLength(255)
      expect(JSON.stringify(refusals)).not.toContain(client.jar.get('sid'))
    })
  })

  describe('by token, where a browser sends neither header', () => {
    beforeEach(() => start())
    afterEach(stop)

    test('a form with the token of its session passes, in the field or in the header, as often as it is sent', async () => {
      await client.signIn()
      const token = await client.token()
      expect((await client.submit('/change', { _csrf: token })).body).toBe('changed 1')
      expect((await client.submit('/change', { _csrf: token })).body).toBe('changed 2')
      expect((await client.submit('/change', {}, { 'x-csrf-token': token })).body).toBe('changed 3')
    })

    test.each([
      ['no token', undefined],
      ['an empty one', ''],
      ['parts of one', '.'],
      ['a made-up one', `${'A'.repeat(22)}.${'A'.repeat(43)}`],
    ])('%s is refused (ASVS 3.5.1, 3.5.2)', async (_, token) => {
      await client.signIn()
      expectRefused(await client.submit('/change', token === undefined ? {} : { _csrf: token }), BAD_TOKEN)
      expectRefused(await client.submit('/change', {}, token === undefined ? {} : { 'x-csrf-token': token }), BAD_TOKEN)
    })

    test("another session's token is refused, and so is a visitor's", async () => {
      const [other, visitor] = [new Client(app), new Client(app)]
      await other.signIn()
      await client.signIn()
      expectRefused(await client.submit('/change', { _csrf: await other.token() }), BAD_TOKEN)
      expectRefused(await client.submit('/change', { _csrf: await visitor.token() }), BAD_TOKEN)
      expectRefused(await visitor.submit('/change', { _csrf: await other.token() }), BAD_TOKEN)
    })

    test('a wrong header is not mended by a right field', async () => {
      await client.signIn()
      const token = await client.token()
      expectRefused(await client.submit('/change', { _csrf: token }, { 'x-csrf-token': 'x' }), BAD_TOKEN)
    })

    test('two fields of the name are no token', async () => {
      await client.signIn()
      const token = await client.token()
      const received = await client.ask({ path: '/change', headers: form, body: `_csrf=x&_csrf=x&_csrf=${token}x` })
      expectRefused(received, BAD_TOKEN)
    })

    test('a rotation rotates it: after a sign-in, a rotation and a sign-out the old one is void', async () => {
      const before = await client.token()
      expect((await client.submit('/login', { _csrf: before })).body).toBe('in')
      expectRefused(await client.submit('/change', { _csrf: before }), BAD_TOKEN)
      const signedIn = await client.token()
      expect((await client.submit('/rotate', { _csrf: signedIn })).body).toBe('rotated')
      expectRefused(await client.submit('/change', { _csrf: signedIn }), BAD_TOKEN)
      const rotated = await client.token()
      expect((await client.submit('/logout', { _csrf: rotated })).body).toBe('out')
      expectRefused(await client.submit('/change', { _csrf: rotated }), BAD_TOKEN)
    })

    test('where headers decide, a void token in a form does no harm', async () => {
      const before = await client.token()
      await client.signIn()
      expect((await client.submit('/change', { _csrf: before }, { 'sec-fetch-site': 'same-origin' })).body).toBe('changed 1')
    })

    test('after the secret is rotated: the old one kept, its tokens pass; the old one gone, they do not', async () => {
      const store = memoryStore()
      const statuses: number[] = []
      let before: Client | undefined
      let token = ''
      for (const secret of [[OLD_SECRET], [SECRET, OLD_SECRET], [SECRET]]) {
        const engine = createSessions({ store, secret, production: false })
        const running = await kind.start(engine, {}, acts)
        const now = before?.twin(running) ?? new Client(running)
        if (before === undefined) await now.signIn()
        token ||= await now.token()
        statuses.push((await now.submit('/change', { _csrf: token })).status)
        before = now
        await running.close()
      }
      expect(statuses).toEqual([200, 200, 403])
    })
  })

  describe('a visitor', () => {
    beforeEach(() => start())
    afterEach(stop)

    test('who asks for no token gets no cookie (law 10)', async () => {
      expect((await client.get('/')).setCookie).toEqual([])
      expect((await client.submit('/change')).setCookie).toEqual([])
      expect((await client.submit('/change', {}, { 'sec-fetch-site': 'same-origin' })).setCookie).toEqual([])
    })

    test('who loads a form gets a token bound to a cookie of its own, and no session (law 10)', async () => {
      const { setCookie, body, headers } = await client.get('/token')
      expect(setCookie).toHaveLength(2)
      expect(setCookie[0]).toMatch(/^csrf=[\w-]{43}; Max-Age=86400; Path=\/; HttpOnly; SameSite=Lax$/)
      expect(setCookie[1]).toMatch(/^csrf-token=[\w.-]{66}; Max-Age=86400; Path=\/; SameSite=Lax$/)
      expect(headers['cache-control']).toBe('private, no-store')
      expect((await sessions.scan()).sessions).toEqual([])
      expect((await client.submit('/change', { _csrf: body })).body).toBe('changed 1')
      expect((await client.submit('/change', {}, { 'x-csrf-token': client.jar.get('csrf-token') ?? '' })).body).toBe('changed 2')
    })

    test('with two forms on a page, and with two pages, has one nonce', async () => {
      const tokens = (await client.token('/two-forms')).split(' ')
      expect((await client.get('/token')).setCookie).toEqual([])
      for (const token of tokens) expect((await client.submit('/change', { _csrf: token })).status).toBe(200)
    })

    test("'s token is worth nothing without its cookie, and with another's", async () => {
      const [token, stranger] = [await client.token(), new Client(app)]
      expectRefused(await stranger.submit('/change', { _csrf: token }), BAD_TOKEN)
      await stranger.get('/token')
      expectRefused(await stranger.submit('/change', { _csrf: token }), BAD_TOKEN)
    })

    test("'s token and cookie end when a session begins", async () => {
      const token = await client.token()
      await client.signIn()
      expect([...client.jar.keys()].sort()).toEqual(['csrf-token', 'sid'])
      expectRefused(await client.submit('/change', { _csrf: token }), BAD_TOKEN)
    })

    test("'s nonce, kept by hand, is void beside a session", async () => {
      const token = await client.token()
      const nonce = client.jar.get('csrf') as string
      await client.signIn()
      client.jar.set('csrf', nonce)
      expectRefused(await client.submit('/change', { _csrf: token }), BAD_TOKEN)
    })

    test('who is given a session by the page that shows the form has a void token, and the program is warned', async () => {
      const warnings: string[] = []
      const listen = (warning: Error) => warnings.push(warning.message)
      process.on('warning', listen)
      const token = await client.token('/cart')
      expectRefused(await client.submit('/change', { _csrf: token }), BAD_TOKEN)
      expect((await client.submit('/change', { _csrf: client.jar.get('csrf-token') ?? '' })).body).toBe('changed 1')
      await new Promise(resolve => setImmediate(resolve))
      process.off('warning', listen)
      // Once per process, whichever adapter is first.
      if (kind === kinds[0]) expect(warnings.join()).toMatch(/the token is void already/)
    })
  })

  describe('the csrf-token cookie', () => {
    beforeEach(() => start())
    afterEach(stop)

    test('comes with the session cookie, is readable, valid, and ends with the session', async () => {
      const login = await client.ask({ path: '/login', headers: json })
      expect(login.setCookie.map(line => line.replace(/=[^;]+/, '='))).toEqual([
        'sid=; Path=/; HttpOnly; SameSite=Lax',
        'csrf-token=; Path=/; SameSite=Lax',
      ])
      const first = client.jar.get('csrf-token') as string
      expect((await client.submit('/change', {}, { 'x-csrf-token': first })).body).toBe('changed 1')
      await client.ask({ path: '/rotate', headers: json })
      const second = client.jar.get('csrf-token') as string
      expect(second).not.toBe(first)
      expect((await client.submit('/change', {}, { 'x-csrf-token': second })).body).toBe('changed 2')
      const logout = await client.ask({ path: '/logout', headers: json })
      expect(logout.setCookie[1]).toBe('csrf-token=; Max-Age=0; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; SameSite=Lax')
      expect(client.jar.size).toBe(0)
    })

    test('is not sent with anything else', async () => {
      await client.signIn()
      for (const path of ['/', '/token', '/token']) expect((await client.get(path)).setCookie).toEqual([])
      expect((await client.ask({ path: '/change', headers: json })).setCookie).toEqual([])
    })

    test('comes again with a refusal, so that a script can repeat', async () => {
      await client.signIn()
      client.jar.delete('csrf-token')
      expectRefused(await client.submit('/change'), BAD_TOKEN)
      expect((await client.submit('/change', {}, { 'x-csrf-token': client.jar.get('csrf-token') ?? '' })).body).toBe('changed 1')
    })

    test('is never believed: the same text in cookie and header is no proof (no naive double submit)', async () => {
      await client.signIn()
      client.jar.set('csrf-token', 'planted')
      expectRefused(await client.submit('/change', {}, { 'x-csrf-token': 'planted' }), BAD_TOKEN)
    })

    test('does not sign anybody in, and no cookie but the session holds its token (ASVS 3.3.4)', async () => {
      await client.signIn()
      const token = client.jar.get('csrf-token') as string
      expect(await sessions.read(`sid=${token}`)).toBeUndefined()
      expect(token).not.toContain(client.jar.get('sid')?.split('.')[1])
    })
  })

  describe("with tokens: 'required'", () => {
    beforeEach(() => start({ tokens: 'required', exempt: ['POST /saml/acs'] }))
    afterEach(stop)

    test('headers that pass are not enough; with a token they are', async () => {
      const ours = { 'sec-fetch-site': 'same-origin' }
      expectRefused(await client.submit('/change', {}, ours), BAD_TOKEN)
      expectRefused(await client.ask({ path: '/change', headers: json }), BAD_TOKEN)
      const token = await client.token()
      expect((await client.submit('/login', { _csrf: token }, ours)).body).toBe('in')
      expect((await client.submit('/change', {}, { ...ours, 'x-csrf-token': client.jar.get('csrf-token') ?? '' })).status).toBe(
        200,
      )
    })

    test('the exempt route and safe methods need none', async () => {
      expect((await client.submit('/saml/acs', {}, { origin: 'https://idp.example' })).status).toBe(200)
      expect((await client.get('/')).status).toBe(200)
    })

    test('a foreign origin is refused as such, whatever token it has', async () => {
      const token = await client.token()
      expectRefused(await client.submit('/change', { _csrf: token }, { origin: 'https://evil.example' }), CROSS_ORIGIN)
    })

    test('a request that a parallel rotation has overtaken is not called forged', async () => {
      await client.signIn({ 'x-csrf-token': await client.token() })
      const late = client.twin(app)
      await client.ask({ path: '/rotate', headers: { ...json, 'x-csrf-token': client.jar.get('csrf-token') ?? '' } })
      const token = late.jar.get('csrf-token') ?? ''
      expect((await late.submit('/change', {}, { 'sec-fetch-site': 'same-origin', 'x-csrf-token': token })).status).toBe(200)
      expect(await late.whoAmI(sessions)).toBeUndefined()
      const refused = await late.submit('/change', {}, { 'x-csrf-token': 'x' })
      expect([refused.status, refused.setCookie]).toEqual([403, []])
    })
  })

  describe("with tokens: 'off'", () => {
    beforeEach(() => start({ tokens: 'off' }))
    afterEach(stop)

    test('no csrf-token cookie comes, and headers alone decide', async () => {
      await client.signIn()
      expect([...client.jar.keys()]).toEqual(['sid'])
      expectRefused(await client.submit('/change', { _csrf: await client.token() }), CROSS_ORIGIN)
    })
  })
})

test.each(kinds)('in production the cookies are Secure, and the nonce has its __Host- prefix ($name)', async (kind: Kind) => {
  const sessions = createSessions({ store: memoryStore(), secret: SECRET, production: true, allowInProduction: ['memory-store'] })
  const app = await kind.start(sessions, {}, acts)
  const client = new Client(app)
  const { setCookie } = await client.get('/token')
  expect(setCookie[0]).toMatch(/^__Host-csrf=[\w-]{43}; Max-Age=86400; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
  expect(setCookie[1]).toMatch(/^csrf-token=[\w.-]{66}; Max-Age=86400; Path=\/; Secure; SameSite=Lax$/)
  const { setCookie: login } = await client.ask({ path: '/login', headers: json })
  expect(login.map(line => line.split('=')[0])).toEqual(['__Host-sid', 'csrf-token', '__Host-csrf'])
  expect(login[2]).toBe('__Host-csrf=; Max-Age=0; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax')
  await app.close()
  await sessions.close()
})
