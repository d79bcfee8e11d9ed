import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import type { CoatcheckError } from 'coatcheck'
import { answerTo, requireAuth, requireFresh, requireRole, session } from 'coatcheck/express'
import { memoryStore } from 'coatcheck/memory'
import { gatedStore } from 'coatcheck/testing'
import express from 'express'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { Browser, type Options, openWorld } from '../support/world.ts'
import { openSite, promote, type Site, type Visitor } from './site.ts'
import { frameworks } from './sites.ts'

const PASSWORD = 'k7#pQz!w and more'
const NEW = 'quite another one 42'
const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

// docs/asvs.md names these tests by their numbers: `asvs.test.ts` beside it holds the two together.
describe.each(frameworks)('on $name', framework => {
  const sites: Site[] = []
  afterEach(async () => {
    for (const site of sites.splice(0)) await site.close()
  })

  async function open(options: Options = {}): Promise<Site> {
    const site = await openSite(framework, options)
    sites.push(site)
    return site
  }

  /** Somebody signed in, in so many browsers. */
  async function signedIn(site: Site, count = 1, remember = false) {
    const person = await site.person(PASSWORD)
    const visitors = Array.from({ length: count }, () => site.visitor())
    for (const visitor of visitors)
      expect((await visitor.post('/login', { email: person.email, password: PASSWORD, remember })).status).toBe(200)
    return { ...person, visitors, visitor: visitors[0] as Visitor, others: visitors.slice(1) }
  }

  const tokenOf = (visitor: Visitor) => visitor.jar.get('__Host-sid') ?? ''

  describe('V7 sessions', () => {
    test('ASVS 7.2.1, 11.2.5: the server alone decides: a forged, altered, cut or unsigned cookie is nobody', async () => {
      const site = await open()
      const { id, visitor } = await signedIn(site)
      const token = tokenOf(visitor)
      const [publicId = '', secret = '', mac = ''] = token.split('.')
      const forged = [
        '',
        id,
        publicId,
        `${publicId}.${secret}`,
        `${publicId}.${secret}.${'A'.repeat(43)}`,
        `${publicId}.${'A'.repeat(43)}.${mac}`,
        token.slice(0, -1),
        `${token}x`,
        token.replace(/^./, first => (first === 'A' ? 'B' : 'A')),
        encodeURIComponent(JSON.stringify({ userId: id, role: 'admin' })),
      ]
      for (const value of forged) {
        const thief = site.visitor()
        thief.jar.set('__Host-sid', value)
        expect([value, (await thief.get('/members/devices')).status]).toEqual([value, 401])
      }
      expect(await visitor.whoAmI()).toBe(id)
    })

    test('ASVS 7.2.2, 7.2.3: each login has a token of its own, of 256 random bits behind a public id of 128', async () => {
      const site = await open()
      const { visitors } = await signedIn(site, 5)
      const tokens = visitors.map(tokenOf)
      for (const token of tokens) expect(token).toMatch(/^[\w-]{22}\.[\w-]{43}\.[\w-]{43}$/)
      for (const part of [0, 1, 2]) expect(new Set(tokens.map(token => token.split('.')[part])).size).toBe(5)
    })

    test('ASVS 7.2.4: a login and a step-up give a new token, and the old one is dead', async () => {
      const site = await open()
      const { id, email, visitor } = await signedIn(site)
      const before = site.visitor(visitor)
      expect((await visitor.post('/members/reauthenticate', { password: PASSWORD })).status).toBe(200)
      expect(await before.whoAmI()).toBeUndefined()
      const between = site.visitor(visitor)
      expect((await visitor.post('/login', { email, password: PASSWORD })).status).toBe(200)
      expect(await between.whoAmI()).toBeUndefined()
      expect(await visitor.whoAmI()).toBe(id)
    })

    test("ASVS 7.2.4: a visitor's token from before the login is dead, what was in the cart is kept", async () => {
      const site = await open()
      const { email } = await site.person(PASSWORD)
      const visitor = site.visitor()
      await visitor.post('/cart')
      const planted = site.visitor(visitor)
      await visitor.post('/login', { email, password: PASSWORD })
      expect(await planted.whoAmI()).toBeUndefined()
      expect([...visitor.jar.keys()]).toContain('__Host-sid')
      expect([...visitor.jar.keys()]).not.toContain('__Host-visit')
    })

    test('ASVS 7.3.1: a session unused for the idle time is over, one used before is not', async () => {
      const site = await open()
      const { id, visitors } = await signedIn(site, 2)
      const [used, unused] = visitors as [Visitor, Visitor]
      site.clock.advance(23 * HOUR)
      expect(await used.whoAmI()).toBe(id)
      site.clock.advance(23 * HOUR)
      expect(await used.whoAmI()).toBe(id)
      expect(await unused.whoAmI()).toBeUndefined()
    })

    test('ASVS 7.3.2: after the absolute time it is over, however much it was used', async () => {
      const site = await open()
      const { id, visitor } = await signedIn(site)
      for (let hours = 0; hours < 30 * 24 - 12; hours += 12) {
        expect(await visitor.whoAmI()).toBe(id)
        site.clock.advance(12 * HOUR)
      }
      expect(await visitor.whoAmI()).toBe(id)
      site.clock.advance(12 * HOUR)
      expect(await visitor.whoAmI()).toBeUndefined()
    })

    test('ASVS 7.3.2: a remembered login too', async () => {
      const site = await open()
      const { id, visitor } = await signedIn(site, 1, true)
      site.clock.advance(29 * DAY)
      expect(await visitor.whoAmI()).toBe(id)
      site.clock.advance(DAY)
      expect(await visitor.whoAmI()).toBeUndefined()
    })

    test('ASVS 7.4.1: after a logout the token is dead, also for another engine over the same store', async () => {
      const store = memoryStore()
      const [site, other] = [await open({ store }), await open({ store })]
      const { visitor } = await signedIn(site)
      const [stolen, elsewhere] = [site.visitor(visitor), other.visitor(visitor)]
      expect(await elsewhere.whoAmI()).toBeDefined()
      expect((await visitor.post('/logout')).status).toBe(200)
      for (const one of [stolen, elsewhere]) expect(await one.whoAmI()).toBeUndefined()
      expect([...visitor.jar.keys()]).not.toContain('__Host-sid')
    })

    test('ASVS 7.4.2: a disabled account has no session left, and gets none', async () => {
      const site = await open()
      const { id, email, visitors } = await signedIn(site, 3)
      await site.auth.disable(id)
      for (const visitor of visitors) expect(await visitor.whoAmI()).toBeUndefined()
      expect((await site.visitor().post('/login', { email, password: PASSWORD })).status).toBe(401)
    })

    test('ASVS 7.4.3: a change of password ends the other sessions, and renews this one', async () => {
      const site = await open()
      const { id, visitor, others } = await signedIn(site, 3)
      const before = site.visitor(visitor)
      expect((await visitor.post('/members/password', { password: PASSWORD, newPassword: NEW })).status).toBe(200)
      expect(await visitor.whoAmI()).toBe(id)
      for (const one of [before, ...others]) expect(await one.whoAmI()).toBeUndefined()
    })

    test('ASVS 7.4.5: an administrator ends one person’s sessions, or everybody’s, and nobody else can', async () => {
      const site = await open()
      const [ann, bob, admin] = [await signedIn(site, 2), await signedIn(site), await signedIn(site)]
      for (const path of ['/admin/revoke-user', '/admin/revoke-everyone'])
        expect((await bob.visitor.post(path, { userId: ann.id })).status).toBe(403)
      await promote(admin.visitor, site)
      expect(JSON.parse((await admin.visitor.post('/admin/revoke-user', { userId: ann.id })).body)).toEqual({ ended: 2 })
      expect(await ann.visitor.whoAmI()).toBeUndefined()
      expect(await bob.visitor.whoAmI()).toBe(bob.id)
      await admin.visitor.post('/admin/revoke-everyone')
      for (const { visitor } of [ann, bob, admin]) expect(await visitor.whoAmI()).toBeUndefined()
    })

    test('ASVS 8.3.2: a promotion and a demotion count at the next request, without a new sign-in', async () => {
      const site = await open()
      const { id, visitor } = await signedIn(site)
      const look = async () => (await visitor.get('/staff/people')).status
      expect(await look()).toBe(403)
      site.roles.set(id, 'admin')
      expect(await look()).toBe(200)
      site.roles.set(id, 'member')
      expect(await look()).toBe(403)
      expect(await visitor.whoAmI()).toBe(id)
    })

    test('ASVS 7.5.1, 7.5.3: what is dangerous asks for the password again, and is no sign-out', async () => {
      const site = await open()
      const { id, visitor } = await signedIn(site)
      expect((await visitor.post('/fresh/email')).status).toBe(200)
      site.clock.advance(10 * MINUTE)
      const refused = await visitor.post('/fresh/email')
      expect([refused.status, JSON.parse(refused.body)]).toEqual([
        403,
        { error: 'Please confirm your identity', code: 'REAUTH_REQUIRED' },
      ])
      expect(await visitor.whoAmI()).toBe(id)
      expect((await visitor.post('/members/reauthenticate', { password: 'wrong password' })).status).toBe(401)
      expect((await visitor.post('/fresh/email')).status).toBe(403)
      await visitor.post('/members/reauthenticate', { password: PASSWORD })
      expect((await visitor.post('/fresh/email')).status).toBe(200)
    })

    test('ASVS 7.5.2: one sees one’s own sessions, without tokens, and ends any of them, and nobody else’s', async () => {
      const site = await open()
      const [ann, bob] = [await signedIn(site, 3), await signedIn(site)]
      const { body } = await ann.visitor.get('/members/devices')
      const devices = JSON.parse(body) as { id: string; current: boolean; userId: string }[]
      expect(devices.map(({ current, userId }) => [current, userId])).toEqual(
        [true, false, false].map(current => [current, ann.id]),
      )
      for (const visitor of ann.visitors)
        for (const part of tokenOf(visitor).split('.').slice(1)) expect(body).not.toContain(part)
      const ofBob = tokenOf(bob.visitor).split('.')[0]
      expect(JSON.parse((await ann.visitor.post('/fresh/devices/revoke', { id: ofBob })).body)).toEqual({ ended: false })
      expect(await bob.visitor.whoAmI()).toBe(bob.id)
      const last = ann.others[1] as Visitor
      await ann.visitor.post('/fresh/devices/revoke', { id: tokenOf(last).split('.')[0] })
      expect(await last.whoAmI()).toBeUndefined()
      expect(JSON.parse((await ann.visitor.post('/fresh/devices/revoke-others')).body)).toEqual({ ended: 1 })
      expect(await ann.others[0]?.whoAmI()).toBeUndefined()
      expect(await ann.visitor.whoAmI()).toBe(ann.id)
      site.clock.advance(10 * MINUTE)
      expect((await ann.visitor.post('/fresh/devices/revoke-others')).status).toBe(403)
    })

    test('ASVS 7.6.2: no session without an act of the person: pages and prefetches make none', async () => {
      const gate = gatedStore(memoryStore())
      const site = await open({ store: gate.store })
      const visitor = site.visitor()
      for (const path of ['/', '/me', '/login?returnTo=/x', '/members/devices', '/nowhere']) {
        expect((await visitor.get(path, { purpose: 'prefetch' })).setCookie).toEqual([])
      }
      expect(gate.calls.create).toBe(0)
    })
  })

  describe('V3 cookies and requests of other sites', () => {
    test('ASVS 3.3.1, 3.3.2, 3.3.3, 3.3.4: every cookie that signs in or knows again is __Host-, Secure, HttpOnly, SameSite=Lax and without Domain, also where it ends', async () => {
      const site = await open()
      const visitor = site.visitor()
      const { email } = await site.person(PASSWORD)
      const all = [
        ...(await visitor.post('/cart')).setCookie,
        ...(await visitor.post('/login', { email, password: PASSWORD, remember: true })).setCookie,
        ...(await visitor.post('/logout')).setCookie,
      ]
      const [readable, hidden] = [
        all.filter(line => line.startsWith('csrf-token=')),
        all.filter(line => !line.startsWith('csrf-token=')),
      ]
      const names = hidden.map(line => line.split('=')[0])
      expect(names.sort()).toEqual(['__Host-device', '__Host-sid', '__Host-sid', '__Host-visit', '__Host-visit'])
      for (const line of hidden) expect(line).toMatch(/; HttpOnly/)
      for (const line of [...hidden, ...readable]) {
        expect(line).toMatch(/; Path=\/(;|$)/)
        expect(line).toMatch(/; Secure/)
        expect(line).toMatch(/; SameSite=(Lax|Strict)/)
        expect(line).not.toMatch(/Domain/i)
      }
    })

    test('ASVS 3.3.4: the token is in Set-Cookie and nowhere else', async () => {
      const site = await open()
      const { email } = await site.person(PASSWORD)
      const visitor = site.visitor()
      const replies = [
        await visitor.post('/login', { email, password: PASSWORD }),
        await visitor.get('/me'),
        await visitor.get('/members/devices'),
      ]
      const [, secret = '', mac = ''] = tokenOf(visitor).split('.')
      for (const { headers, body } of replies) {
        const rest = [...headers].filter(([name]) => name !== 'set-cookie')
        for (const part of [secret, mac]) expect(JSON.stringify([rest, body])).not.toContain(part)
      }
      expect(JSON.stringify(site.events)).not.toContain(secret)
    })

    test('ASVS 3.3.5: name and value are far below 4096 bytes', async () => {
      const site = await open()
      const { visitor } = await signedIn(site)
      for (const [name, value] of visitor.jar) expect(name.length + value.length).toBeLessThan(512)
    })

    test.each([
      [
        'a form of another site',
        { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example', 'content-type': 'application/x-www-form-urlencoded' },
      ],
      ['a subdomain', { 'sec-fetch-site': 'same-site', origin: 'https://other.example' }],
      ['an old browser', { 'sec-fetch-site': '', origin: 'https://evil.example', 'content-type': 'text/plain' }],
      ['a sandboxed frame', { 'sec-fetch-site': '', origin: 'null', 'content-type': 'multipart/form-data; boundary=x' }],
    ])('ASVS 3.5.1, 3.5.2: %s may not write, nor sign anybody in', async (_name, headers) => {
      const site = await open()
      const { id, email, visitor } = await signedIn(site)
      const sent = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== ''))
      for (const path of ['/logout', '/members/password', '/cart', '/login']) {
        const response = await fetch(site.url + path, {
          method: 'POST',
          headers: { cookie: visitor.cookie, ...sent },
          body: JSON.stringify({ email, password: PASSWORD }),
        })
        expect([path, response.status, response.headers.getSetCookie()]).toEqual([path, 403, []])
      }
      expect(await visitor.whoAmI()).toBe(id)
    })

    test('ASVS 3.5.3: to look is not to change: GET and HEAD, also of another site, end, begin and change no session', async () => {
      const gate = gatedStore(memoryStore())
      const site = await open({ store: gate.store })
      const { id, visitor } = await signedIn(site)
      gate.reset()
      for (const path of ['/', '/me', '/login', '/members/devices', '/staff/people', '/fresh/email', '/nowhere']) {
        for (const method of ['GET', 'HEAD']) {
          const { setCookie } = await visitor.send(method, path, undefined, { 'sec-fetch-site': 'cross-site' })
          expect([method, path, setCookie]).toEqual([method, path, []])
        }
      }
      const { create, replace, delete: deleted, revokeUser, revokeEveryone } = gate.calls
      expect([create, replace, deleted, revokeUser, revokeEveryone]).toEqual([0, 0, 0, 0, 0])
      expect(await visitor.whoAmI()).toBe(id)
    })

    test.each([
      ['//evil.example', '/'],
      ['/\\evil.example', '/'],
      ['https:evil.example', '/'],
      ['https://evil.example/', '/'],
      ['/.//evil.example', '/'],
      ['/%2e/%2e/ok', '/ok'],
      ['javascript:alert(1)', '/'],
      ['/members?x=1#y', '/members?x=1#y'],
    ])('ASVS 3.7.2: returnTo=%s leads to %s', async (returnTo, location) => {
      const site = await open()
      const reply = await site.visitor().get(`/login?returnTo=${encodeURIComponent(returnTo)}`)
      expect(reply.headers.get('location')).toBe(location)
    })
  })

  describe('V6 signing in', () => {
    test('ASVS 6.1.1, 6.3.1: guesses are refused with 429 and Retry-After, the owner’s browser is not', async () => {
      const site = await open()
      const { email, visitor } = await signedIn(site)
      const replies = await Promise.all(
        Array.from({ length: 30 }, () => site.visitor().post('/login', { email, password: 'wrong password' })),
      )
      expect(replies.map(({ status }) => status).sort()).toEqual([...Array(10).fill(401), ...Array(20).fill(429)])
      for (const reply of replies) if (reply.status === 429) expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0)
      expect((await visitor.post('/login', { email, password: PASSWORD })).status).toBe(200)
    })

    test('ASVS 6.2.3, 6.2.4, 6.2.11: a change asks for the present password, and takes no common or guessable one', async () => {
      const site = await open()
      const { email, visitor } = await signedIn(site)
      const change = async (password: string, newPassword: string) =>
        (await visitor.post('/members/password', { password, newPassword })).status
      expect(await change('wrong password', NEW)).toBe(401)
      expect(await change(PASSWORD, 'password1')).toBe(422)
      expect(await change(PASSWORD, email)).toBe(422)
      expect(await change(PASSWORD, 'only lower case letters')).toBe(200)
    })

    test('ASVS 6.3.8: unknown, wrong and disabled are one answer, at login and at reset', async () => {
      const site = await open()
      const [known, disabled] = [await site.person(PASSWORD), await site.person(PASSWORD)]
      site.users.disableUser(disabled.id)
      const plain = ({ status, headers, body }: Awaited<ReturnType<Visitor['post']>>) => ({
        status,
        body,
        headers: [...headers].filter(([name]) => name !== 'date'),
      })
      const before = site.auth.hashing.computed
      const tries = [
        { email: 'nobody@example.org', password: PASSWORD },
        { email: known.email, password: 'wrong password' },
        { email: disabled.email, password: PASSWORD },
      ]
      const answers = []
      for (const body of tries) answers.push(plain(await site.visitor().post('/login', body)))
      expect(answers[0]).toMatchObject({ status: 401, body: '{"error":"Invalid credentials"}' })
      expect(answers).toEqual([answers[0], answers[0], answers[0]])
      expect(site.auth.hashing.computed - before).toBe(3)
      const resets = []
      for (const { email } of tries) resets.push(plain(await site.visitor().post('/forgot', { email })))
      expect(resets).toEqual([resets[0], resets[0], resets[0]])
    })

    test('ASVS 6.4.3: a reset link works once and ends every session', async () => {
      const site = await open()
      const { email, visitor } = await signedIn(site)
      await site.visitor().post('/forgot', { email })
      await expect.poll(() => site.users.mails.length).toBe(1)
      const { token } = site.users.mails[0] as { token: string }
      expect((await site.visitor().post('/reset', { token, password: NEW })).status).toBe(200)
      expect(await visitor.whoAmI()).toBeUndefined()
      expect((await site.visitor().post('/reset', { token, password: `${NEW} again` })).status).toBe(401)
    })
  })

  describe('what stands beside them', () => {
    test('ASVS 14.2.1: a token in the address or in the body is not looked at', async () => {
      const site = await open()
      const { visitor } = await signedIn(site)
      const token = tokenOf(visitor)
      const stranger = site.visitor()
      for (const query of [`sid=${token}`, `__Host-sid=${token}`, `token=${token}`]) {
        expect(JSON.parse((await stranger.get(`/me?${query}`)).body)).toEqual({})
      }
      expect((await stranger.post('/members/reauthenticate', { '__Host-sid': token, password: PASSWORD })).status).toBe(401)
      expect((await stranger.get('/me', { authorization: `Bearer ${token}` })).body).toBe('{}')
    })

    test('ASVS 14.3.1, 14.3.2: what a signed-in reader gets is kept in no cache, and a logout clears what was', async () => {
      const site = await open()
      const { visitor } = await signedIn(site)
      for (const path of ['/me', '/members/devices']) {
        const { headers } = await visitor.get(path)
        expect(headers.get('cache-control')).toMatch(/no-store/)
        expect(headers.get('vary')).toMatch(/cookie/i)
      }
      const { headers } = await visitor.post('/logout')
      expect(headers.get('cache-control')).toMatch(/no-store/)
      expect(headers.get('clear-site-data')).toBe('"cache", "storage"')
    })

    test('ASVS 16.3.1, 16.3.3: logins, failures, throttled tries and refused requests are told, without secrets', async () => {
      const site = await open()
      const told: string[] = []
      site.sessions.on('login', ({ userId }) => told.push(`login ${userId}`))
      site.sessions.on('request.refused', ({ error }) => told.push(`refused ${error.code}`))
      const { id, email, visitor } = await signedIn(site)
      const stranger = site.visitor()
      for (let i = 0; i < 11; i++) await stranger.post('/login', { email, password: 'wrong password' })
      await visitor.post('/cart', {}, { 'sec-fetch-site': 'cross-site' })
      expect(told).toEqual([`login ${id}`, 'refused CROSS_ORIGIN'])
      const names = site.events.map(({ name }) => name)
      expect(names.filter(name => name === 'login.failed')).toHaveLength(10)
      expect(names).toContain('login.throttled')
      expect(JSON.stringify(site.events)).not.toMatch(/wrong password|@example/)
    })

    test('ASVS 16.5.2, 16.5.3: a store that is down is a 503 and signs nobody in or out; who has no token is served', async () => {
      const gate = gatedStore(memoryStore())
      const site = await open({ store: gate.store })
      const { id, email, visitor } = await signedIn(site)
      const other = site.visitor()
      gate.onCall(() => {
        throw new Error('no connection')
      })
      expect((await visitor.get('/me')).status).toBe(503)
      expect((await visitor.post('/logout')).status).toBe(503)
      expect((await other.post('/login', { email, password: PASSWORD })).status).toBe(503)
      expect((await other.get('/me')).body).toBe('{}')
      gate.onCall(undefined)
      expect(await visitor.whoAmI()).toBe(id)
      expect(await other.whoAmI()).toBeUndefined()
    })
  })
})

test('ASVS 7.1.2: the oldest session of a person ends where there are more than the limit', async () => {
  const [framework] = frameworks
  if (framework === undefined) throw new Error('no framework')
  const site = await openSite(framework, { sessionOptions: { maxSessionsPerUser: 2 } })
  const { id } = await site.person(PASSWORD)
  const cookies: string[] = []
  for (let i = 0; i < 3; i++) {
    cookies.push(await site.sessions.issue(id))
    site.clock.advance(1000)
  }
  const alive = await Promise.all(cookies.map(async cookie => (await site.sessions.read(cookie))?.userId))
  expect(alive).toEqual([undefined, id, id])
  await site.close()
})

test('ASVS 4.4.2, 4.4.3, 4.4.4: with what we give, an upgrade is refused to other sites and to nobody, and ends with its session', async () => {
  const world = openWorld()
  const sockets = new Map<string, Duplex>()
  const cut = (ids: readonly string[]) => {
    for (const id of ids) sockets.get(id)?.destroy()
  }
  world.sessions.on('session.ended', ({ id }) => cut([id]))
  world.sessions.on('user.revoked', ({ ids }) => cut(ids))
  world.sessions.on('everyone.revoked', () => cut([...sockets.keys()]))
  const server = createServer().on('upgrade', async (req, socket) => {
    const found = await world.sessions.read(req.headers.cookie)
    if (found?.userId == null || req.headers.origin !== `http://${req.headers.host}`) return socket.end('HTTP/1.1 403 No\r\n\r\n')
    sockets.set(found.id, socket)
    socket.on('error', () => {}).write('HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(async () => {
    server.close()
    await world.close()
  })
  const { port } = server.address() as AddressInfo
  const origin = `http://127.0.0.1:${port}`
  /** The socket, if the upgrade was let through. */
  async function upgrade(cookie: string, from: string): Promise<Duplex | undefined> {
    const headers = { cookie, origin: from, connection: 'Upgrade', upgrade: 'x' }
    const asked = request({ port, host: '127.0.0.1', headers, agent: false }).end()
    const [, socket] = await Promise.race([once(asked, 'upgrade'), once(asked, 'response')])
    return socket
  }
  const cookie = await world.sessions.issue('ann')
  expect(await upgrade('', origin)).toBeUndefined()
  expect(await upgrade(cookie, 'http://evil.example')).toBeUndefined()
  const { sessions } = world
  const ends = [
    async (cookie: string) => sessions.revoke((await sessions.read(cookie))?.id ?? ''),
    () => sessions.revokeUser('ann'),
    () => sessions.revokeEveryone(),
  ]
  for (const end of ends) {
    const own = await sessions.issue('ann')
    const socket = (await upgrade(own, origin)) as Duplex
    expect(socket.destroyed).toBe(false)
    const closed = once(socket.resume(), 'close')
    await end(own)
    await closed
  }
})

test('ASVS 16.3.2: a guard that refuses tells its answer whom, and why', async () => {
  const world = openWorld()
  const told: unknown[] = []
  const answer = (error: unknown, { session }: express.Request) => {
    told.push([(error as CoatcheckError).code, session.userId])
    return answerTo(error)
  }
  const app = express().use(session(world.sessions))
  app.use('/members', requireAuth({ answer }))
  app.use('/admin', requireRole('admin', { answer }))
  app.use('/fresh', requireFresh('10m', { answer }))
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(async () => {
    server.close()
    await world.close()
  })
  const ann = new Browser(world.sessions)
  await ann.request(async one => one.login('ann'))
  world.clock.advance(10 * MINUTE)
  const ask = (path: string, cookie = '') =>
    fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`, { headers: { cookie } })
  expect((await ask('/members')).status).toBe(401)
  expect((await ask('/admin', ann.cookie)).status).toBe(403)
  expect((await ask('/fresh', ann.cookie)).status).toBe(403)
  expect(told).toEqual([
    ['NOT_AUTHENTICATED', undefined],
    ['FORBIDDEN', 'ann'],
    ['REAUTH_REQUIRED', 'ann'],
  ])
})
