import assert from 'node:assert/strict'
import type { AdapterLaw, OpenSite, Routes } from '../adapter-laws.ts'
import type { Browser } from '../browser.ts'
import { assertError, change, cookiesIn, dataOf, routes, slowRoute } from './routes.ts'

/** A browser that has signed in. */
async function signedIn(site: OpenSite): Promise<Browser> {
  const browser = site.browser()
  await browser.post('/login')
  assert.equal((await browser.get('/me')).body, 'alice')
  return browser
}

const idOf = (browser: Browser) => (Object.values(browser.cookies)[0] ?? '').split('.')[0] ?? ''

/** Each way in which a session can end while another request is under way. */
const endings: Readonly<Record<string, (site: OpenSite, browser: Browser) => Promise<unknown>>> = {
  'a parallel logout': (site, browser) => site.browser(browser).post('/logout'),
  revoke: (site, browser) => site.sessions.revoke(idOf(browser)),
  revokeUser: site => site.sessions.revokeUser('alice'),
  revokeEveryone: site => site.sessions.revokeEveryone(),
}

/** Each way in which the token can be replaced while another request is under way. */
const rotations: Readonly<Record<string, string>> = {
  'a parallel step-up': '/login',
  'a parallel role change': '/promote',
  'a parallel rotate()': '/rotate',
}

const withRotate: Routes = { ...routes, '/rotate': ({ session }) => session.rotate() }

export const identityLaws: readonly AdapterLaw[] = [
  {
    law: 1,
    name: 'a login gives a new token, keeps what the visitor had, and the token from before is nobody',
    async prove({ open }) {
      const site = await open(routes)
      const browser = site.browser()
      await browser.post('/visit')
      const before = site.browser(browser)
      assert.deepEqual(Object.keys(before.cookies), ['visit'])
      await browser.post('/login')
      assert.deepEqual(Object.keys(browser.cookies), ['sid'])
      assert.equal((await browser.get('/data')).body, '{"seen":1,"userId":"alice"}')
      assert.equal((await before.get('/data')).body, '{}')
    },
  },
  {
    law: 1,
    name: 'assigning userId is a login: a new token, and the session is on file under the person',
    async prove({ open }) {
      const site = await open(routes)
      const browser = site.browser()
      await browser.post('/visit')
      const before = site.browser(browser)
      await browser.post('/assign')
      assert.equal((await browser.get('/me')).body, 'alice')
      assert.equal((await before.get('/me')).body, 'nobody')
      assert.equal((await site.sessions.list('alice')).length, 1)
    },
  },
  ...Object.entries(rotations).map(
    ([what, path]): AdapterLaw => ({
      law: 1,
      name: `after ${what} the token from before is dead, and a write under way with it is refused and not kept`,
      async prove({ open }) {
        const slow = slowRoute(({ session }) => change(session, { late: 1 }))
        const site = await open({ ...withRotate, '/slow': slow.route })
        const browser = await signedIn(site)
        const before = site.browser(browser)
        const late = before.post('/slow')
        await slow.arrived
        await browser.post(path)
        slow.letGo()
        assertError(await late, 401, { error: 'Session superseded', code: 'SESSION_SUPERSEDED' })
        assert.equal((await before.get('/me')).body, 'nobody')
        assert.equal((await browser.get('/me')).body, 'alice')
        assert.doesNotMatch((await browser.get('/data')).body, /late/)
      },
    }),
  ),
  ...Object.entries(endings).map(
    ([what, end]): AdapterLaw => ({
      law: 2,
      name: `a slow request that changes its session and ends after ${what} brings nothing back`,
      async prove({ open }) {
        const slow = slowRoute(({ session }) => change(session, { late: 1 }))
        const site = await open({ ...routes, '/slow': slow.route })
        const browser = await signedIn(site)
        const late = site.browser(browser).post('/slow')
        await slow.arrived
        await end(site, browser)
        slow.letGo()
        assert.deepEqual(cookiesIn(await late), [])
        assert.equal((await browser.get('/data')).body, '{}')
        assert.deepEqual(await site.sessions.list('alice'), [])
      },
    }),
  ),
  {
    law: 2,
    name: 'a save that is held at the store while its session is logged out brings nothing back',
    async prove({ open, gate }) {
      const site = await open(routes)
      const browser = await signedIn(site)
      const held = gate.hold('replace')
      const late = site.browser(browser).post('/cart')
      await held.arrived
      await browser.post('/logout')
      held.release()
      assert.deepEqual(cookiesIn(await late), [])
      assert.deepEqual(await site.sessions.list('alice'), [])
    },
  },
  {
    name: 'the next person starts with nothing of the one before, and with what was set after login()',
    async prove({ open }) {
      const site = await open({
        ...routes,
        '/take-over': async ({ session }) => {
          change(session, { early: 1 })
          await session.login('bob')
          change(session, { after: 1 })
        },
      })
      const browser = await signedIn(site)
      await browser.post('/cart')
      const before = site.browser(browser)
      await browser.post('/take-over')
      assert.deepEqual(JSON.parse((await browser.get('/data')).body), { userId: 'bob', after: 1 })
      assert.equal((await before.get('/me')).body, 'nobody')
    },
  },
  {
    name: 'a bare assignment that would turn one person into another is refused, and the answer is not sent',
    async prove({ open }) {
      const site = await open({
        ...routes,
        '/become-bob': ({ session }) => {
          session.userId = 'bob'
          return 'secret'
        },
      })
      const browser = await signedIn(site)
      assertError(await browser.post('/become-bob'), 500, { error: 'Internal server error', code: 'IDENTITY_CHANGED' })
      assert.equal((await browser.get('/me')).body, 'alice')
    },
  },
  {
    name: 'logout ends the session in the store, empties the bag and expires the cookie',
    async prove({ open }) {
      const site = await open({
        ...routes,
        '/logout': async ({ session }) => {
          await session.logout()
          return dataOf(session)
        },
      })
      const browser = await signedIn(site)
      const before = site.browser(browser)
      assert.equal((await browser.post('/logout')).body, '{}')
      assert.deepEqual(browser.cookies, {})
      assert.equal((await before.get('/me')).body, 'nobody')
      assert.deepEqual(await site.sessions.list('alice'), [])
    },
  },
]
