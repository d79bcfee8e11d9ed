import assert from 'node:assert/strict'
import { CoatcheckError } from '../../core/errors.ts'
import type { SessionStore } from '../../core/store.ts'
import type { AdapterLaw, Routes } from '../adapter-laws.ts'
import type { Browser } from '../browser.ts'
import { assertError, change, cookiesIn, routes, slowRoute } from './routes.ts'

const TEN_MINUTES_MS = 600_000
const PAGE = { accept: 'text/html,application/xhtml+xml,application/json;q=0.8,*/*;q=0.5' }
const DATA = { accept: 'application/json, text/html' }
const NOT_AUTHENTICATED = { error: 'Not authenticated' }
const SUPERSEDED = { error: 'Session superseded', code: 'SESSION_SUPERSEDED' }

const guarded: Routes = {
  ...routes,
  '/members': ({ session }) => `member ${session.userId}`,
  '/pages': () => 'page',
  '/admins': () => 'admin',
  '/fresh': () => 'fresh',
  '/staff': () => 'staff',
  '/own': ({ session }) => change(session, { role: 'owner' }),
  '/demote': ({ session }) => change(session, { role: 'member' }),
}

/** Changes are never told, so that a near cache believes what it has read. */
function untold(store: SessionStore): SessionStore {
  return { ...store, cannot: {}, watch: async () => ({ prove: async () => {}, close: async () => {} }) }
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
      for (const path of ['/members', '/pages', '/admins', '/staff', '/fresh'])
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
    name: 'requireRole asks its role hook at each request, and never the session: a demotion counts at once',
    async prove({ open, hook }) {
      const asked: unknown[] = []
      let role: string | null | undefined = 'admin'
      hook.role = async ({ userId }) => {
        asked.push(userId)
        return role
      }
      const browser = (await open(guarded)).browser()
      assertError(await browser.get('/staff'), 401, NOT_AUTHENTICATED)
      assert.deepEqual(asked, [])
      await browser.post('/login')
      assert.equal((await browser.get('/staff')).body, 'staff')
      await browser.post('/promote')
      for (const other of ['member', 'Admin', '', null, undefined]) {
        role = other
        assertError(await browser.get('/staff', PAGE), 403, { error: 'Forbidden' })
      }
      role = 'admin'
      await browser.post('/demote')
      assert.equal((await browser.get('/staff')).body, 'staff')
      assert.deepEqual(new Set(asked), new Set(['alice']))
    },
  },
  {
    law: 6,
    name: 'a role hook that fails, at once or later, lets nobody pass: 503, and told; a refusal of its own is answered as itself',
    async prove({ open, hook }) {
      const site = await open(guarded)
      const told: unknown[] = []
      site.sessions.on('role.failed', ({ userId, error }) => told.push([userId, error.cause]))
      const browser = site.browser()
      await browser.post('/login')
      const down = new Error('the database of roles is down')
      const fails = [() => assert.fail(down), () => Promise.reject(down)]
      for (const role of fails) {
        hook.role = role
        const reply = await browser.get('/staff', PAGE)
        assertError(reply, 503, { error: 'Service unavailable', code: 'ROLE_UNAVAILABLE' })
        assert.equal(reply.headers.get('retry-after'), '1')
        assert.deepEqual(cookiesIn(reply), [])
      }
      assert.deepEqual(told, [['alice', down], ['alice', down]]) // biome-ignore format: one line
      hook.role = () => Promise.reject(new CoatcheckError('NOT_AUTHENTICATED', 'The account is gone.'))
      assertError(await browser.get('/staff'), 401, NOT_AUTHENTICATED)
      hook.role = async session => {
        await session.logout()
        return 'admin'
      }
      assertError(await browser.get('/staff'), 401, NOT_AUTHENTICATED)
      assert.equal((await browser.get('/me')).body, 'nobody')
    },
  },
  {
    law: 9,
    name: 'requireRole and requireFresh read strictly past a near cache that has not heard of a revocation, or of a new token',
    async prove({ open, openElsewhere, gate, hook }) {
      hook.role = () => 'admin'
      const near = await open(guarded, { store: untold(gate.store), nearCache: true })
      const elsewhere = await openElsewhere(guarded)
      await near.sessions.ready()
      const acts = {
        demoted: [SUPERSEDED, (browser: Browser) => elsewhere.browser(browser).post('/demote')],
        revoked: [NOT_AUTHENTICATED, () => elsewhere.sessions.revokeUser('alice')],
      } as const
      for (const [what, [refusal, act]] of Object.entries(acts)) {
        for (const path of ['/admins', '/staff', '/fresh']) {
          const browser = near.browser()
          await browser.post('/login')
          await browser.post('/promote')
          assert.equal((await browser.get(path)).status, 200, path)
          const before = near.browser(browser)
          await act(browser)
          // It has heard nothing, or this law would prove nothing.
          assert.equal((await before.get('/members')).status, 200, what)
          assertError(await before.get(path), 401, refusal)
        }
      }
      const browser = near.browser()
      await browser.post('/login')
      await browser.get('/members')
      gate.failNext('read', 'before', new Error('down'))
      assertError(await browser.get('/fresh'), 503, { error: 'Service unavailable', code: 'STORE_UNAVAILABLE' })
    },
  },
  {
    name: 'a guard costs no second read where there is no near cache',
    async prove({ open, gate, hook }) {
      hook.role = () => 'admin'
      const browser = (await open(guarded)).browser()
      await browser.post('/login')
      for (const path of ['/members', '/admins', '/staff', '/fresh']) {
        gate.reset()
        await browser.get(path)
        assert.equal(gate.calls.read, 1, path)
      }
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
      assertError(await before.get('/members'), 401, SUPERSEDED)
      assert.equal((await browser.get('/members')).body, 'member alice')
    },
  },
]
