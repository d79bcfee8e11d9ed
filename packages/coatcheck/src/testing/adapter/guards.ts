import assert from 'node:assert/strict'
import type { AdapterLaw, Routes } from '../adapter-laws.ts'
import { assertError, change, cookiesIn, routes, slowRoute } from './routes.ts'

const TEN_MINUTES_MS = 600_000
const PAGE = { accept: 'text/html,application/xhtml+xml,application/json;q=0.8,*/*;q=0.5' }
const DATA = { accept: 'application/json, text/html' }
const NOT_AUTHENTICATED = { error: 'Not authenticated' }

const guarded: Routes = {
  ...routes,
  '/members': ({ session }) => `member ${session.userId}`,
  '/pages': () => 'page',
  '/admins': () => 'admin',
  '/fresh': () => 'fresh',
  '/own': ({ session }) => change(session, { role: 'owner' }),
  '/demote': ({ session }) => change(session, { role: 'member' }),
}

export const guardLaws: readonly AdapterLaw[] = [
  {
    name: 'requireAuth lets the signed in pass, and answers 401 to everybody else',
    async prove({ open }) {
      const browser = (await open(guarded)).browser()
      assertError(await browser.get('/members'), 401, NOT_AUTHENTICATED)
      await browser.post('/visit')
      assertError(await browser.post('/members'), 401, NOT_AUTHENTICATED)
      await browser.post('/login')
      assert.equal((await browser.get('/members')).body, 'member alice')
      await browser.post('/logout')
      assertError(await browser.get('/members'), 401, NOT_AUTHENTICATED)
    },
  },
  {
    name: 'a refusal makes no session and gives no cookie',
    async prove({ open, gate }) {
      const browser = (await open(guarded)).browser()
      for (const path of ['/members', '/pages', '/admins', '/fresh'])
        assert.deepEqual(cookiesIn(await browser.get(path, PAGE)), [])
      assert.equal(gate.calls.create, 0)
    },
  },
  {
    name: 'requireAuth with a loginPath sends page loads there, with the way back, and answers the rest in JSON',
    async prove({ open }) {
      const browser = (await open(guarded)).browser()
      const page = await browser.get('/pages?tab=1&x=%2F', PAGE)
      assert.equal(page.status, 303)
      assert.equal(page.headers.get('location'), `/login?returnTo=${encodeURIComponent('/pages?tab=1&x=%2F')}`)
      assert.match(page.headers.get('cache-control') ?? '', /no-store/)
      assertError(await browser.get('/pages', DATA), 401, NOT_AUTHENTICATED)
      assertError(await browser.get('/pages'), 401, NOT_AUTHENTICATED)
      assertError(await browser.post('/pages', PAGE), 401, NOT_AUTHENTICATED)
      assertError(await browser.get('/members', PAGE), 401, NOT_AUTHENTICATED)
      await browser.post('/login')
      assert.equal((await browser.get('/pages', PAGE)).body, 'page')
    },
  },
  {
    name: 'requireRole answers 401 to nobody, 403 to another role, and lets each of its roles pass',
    async prove({ open }) {
      const browser = (await open(guarded)).browser()
      assertError(await browser.get('/admins'), 401, NOT_AUTHENTICATED)
      await browser.post('/login')
      assertError(await browser.get('/admins'), 403, { error: 'Forbidden' })
      for (const path of ['/promote', '/own']) {
        await browser.post(path)
        assert.equal((await browser.get('/admins')).body, 'admin', path)
      }
      await browser.post('/demote')
      assertError(await browser.get('/admins', PAGE), 403, { error: 'Forbidden' })
    },
  },
  {
    name: 'requireFresh asks for the identity again after its time, without signing out; only a new login satisfies it',
    async prove({ open, clock }) {
      const browser = (await open(guarded)).browser()
      assertError(await browser.get('/fresh'), 401, NOT_AUTHENTICATED)
      await browser.post('/login')
      clock.advance(TEN_MINUTES_MS - 5000)
      assert.equal((await browser.get('/fresh')).body, 'fresh')
      clock.advance(10_000)
      const reauthenticate = { error: 'Please confirm your identity', code: 'REAUTH_REQUIRED' }
      assertError(await browser.get('/fresh'), 403, reauthenticate)
      await browser.post('/promote')
      assertError(await browser.get('/fresh'), 403, reauthenticate)
      assert.equal((await browser.get('/me')).body, 'alice')
      await browser.post('/login')
      assert.equal((await browser.get('/fresh')).body, 'fresh')
    },
  },
  {
    law: 1,
    name: 'a guard answers 401 SESSION_SUPERSEDED to a token that a parallel request has replaced: safe to repeat',
    async prove({ open }) {
      const slow = slowRoute(() => {})
      const site = await open({ ...guarded, '/slow': slow.route })
      const browser = site.browser()
      await browser.post('/login')
      const before = site.browser(browser)
      await browser.post('/login')
      assertError(await before.get('/members'), 401, { error: 'Session superseded', code: 'SESSION_SUPERSEDED' })
      assert.equal((await browser.get('/members')).body, 'member alice')
    },
  },
]
