import assert from 'node:assert/strict'
import type { AdapterLaw, Routes } from '../adapter-laws.ts'
import { cutOff, OUTAGE } from './failures.ts'
import { assertError, change, cookiesIn, routes } from './routes.ts'

const telling: Routes = {
  ...routes,
  '/tell': ({ session }) => {
    change(session, { told: 1 })
    return { status: 201, headers: { 'X-Mine': '1', 'Set-Cookie': 'mine=1' }, body: 'secret' }
  },
}

export const outageLaws: readonly AdapterLaw[] = [
  {
    law: 6,
    name: 'where the session cannot be read the answer is 503, no handler runs, and nobody is signed in or out',
    async prove({ open, gate }) {
      let handled = 0
      const site = await open({
        ...routes,
        '/quiet': () => {
          handled++
        },
      })
      const browser = site.browser()
      await browser.post('/login')
      cutOff(gate, 'before', 'read')
      const reply = await browser.get('/quiet')
      assertError(reply, 503, OUTAGE)
      assert.deepEqual(cookiesIn(reply), [])
      assert.equal(handled, 0)
      assert.equal((await site.browser().get('/quiet')).status, 200, 'requests without a token still work')
      gate.reset()
      assert.equal((await browser.get('/me')).body, 'alice')
    },
  },
  {
    law: 6,
    name: 'where a change cannot be saved the answer is 503, with nothing of the handler in it',
    async prove({ open, gate }) {
      const browser = (await open(telling)).browser()
      await browser.post('/login')
      cutOff(gate, 'before', 'replace')
      const reply = await browser.post('/tell')
      assertError(reply, 503, OUTAGE)
      assert.deepEqual(cookiesIn(reply), [])
      assert.equal(reply.headers.get('x-mine'), null)
      gate.reset()
      assert.equal((await browser.get('/data')).body, '{"userId":"alice"}')
    },
  },
  {
    name: 'the answer instead of the handler says, as that did, who may read it: CORS and security headers stay',
    async prove({ open, gate }) {
      const headers = { 'Access-Control-Allow-Origin': 'https://shop.example', Vary: 'Origin', 'X-Frame-Options': 'DENY' }
      const site = await open({
        ...routes,
        '/tell': ({ session }) => {
          change(session, { told: 1 })
          return { headers: { ...headers, ETag: '"mine"' } }
        },
      })
      const browser = site.browser()
      await browser.post('/login')
      cutOff(gate, 'before', 'replace')
      const reply = await browser.post('/tell')
      assertError(reply, 503, OUTAGE)
      for (const [name, value] of Object.entries(headers)) assert.ok(reply.headers.get(name)?.startsWith(value), name)
      assert.equal(reply.headers.get('etag'), null)
    },
  },
  {
    law: 6,
    name: 'a login that cannot be stored is a 503 and signs nobody in, also where its handler says otherwise',
    async prove({ open, gate }) {
      const site = await open({
        ...routes,
        '/hopeful': async ({ session }) => {
          await session.login('alice').catch(() => {})
          return 'welcome'
        },
      })
      const browser = site.browser()
      await browser.post('/visit')
      for (const path of ['/login', '/hopeful']) {
        cutOff(gate, 'before', 'replace', 'create')
        const reply = await browser.post(path)
        assert.equal(reply.status, 503, `${path}: ${reply.body}`)
        assert.deepEqual(cookiesIn(reply), [])
        gate.reset()
        assert.equal((await browser.get('/me')).body, 'nobody')
      }
      assert.deepEqual(await site.sessions.list('alice'), [])
    },
  },
  {
    law: 6,
    name: 'a save whose answer was lost is not done twice, and is acknowledged',
    async prove({ open, gate }) {
      const browser = (await open(routes)).browser()
      await browser.post('/login')
      gate.failNext('replace', 'after', new Error('connection lost'))
      assert.equal((await browser.post('/visit')).status, 200)
      assert.equal((await browser.get('/data')).body, '{"userId":"alice","seen":1}')
    },
  },
  {
    name: 'data that cannot be stored is a 500 without details, and nothing of the handler leaves',
    async prove({ open }) {
      const site = await open({
        ...routes,
        '/cycle': ({ session }) => {
          change(session, { itself: session })
          return 'secret'
        },
      })
      const reply = await site.browser().post('/cycle')
      assertError(reply, 500, { error: 'Internal server error', code: 'BAD_SESSION_DATA' })
    },
  },
  {
    law: 11,
    name: 'data above the limit is a 500 without details; nothing of it is stored, and what was stored stays',
    async prove({ open }) {
      const routesWithBig: Routes = { ...routes, '/big': ({ session }) => change(session, { big: 'x'.repeat(1000) }) }
      const site = await open(routesWithBig, { maxDataBytes: 1000 })
      const [stranger, browser] = [site.browser(), site.browser()]
      await browser.post('/login')
      await browser.post('/visit')
      for (const one of [stranger, browser]) {
        const reply = await one.post('/big')
        assertError(reply, 500, { error: 'Internal server error', code: 'SESSION_TOO_LARGE' })
        assert.deepEqual(cookiesIn(reply), [])
      }
      assert.equal((await browser.get('/data')).body, '{"userId":"alice","seen":1}')
      assert.deepEqual(stranger.cookies, {})
    },
  },
  {
    name: 'a HEAD request that cannot be answered gets the same head and no body',
    async prove({ open, gate }) {
      const browser = (await open(routes)).browser()
      await browser.post('/login')
      cutOff(gate, 'before', 'read')
      const reply = await browser.head('/me')
      assert.equal(reply.status, 503)
      assert.equal(reply.body, '')
    },
  },
]
