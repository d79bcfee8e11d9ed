import assert from 'node:assert/strict'
import type { AdapterLaw } from '../adapter-laws.ts'
import { cookiesIn, routes } from './routes.ts'

/** What can stand where a token should. */
const garbage: readonly string[] = [
  'sid=',
  'sid=x',
  'sid=..',
  `sid=${'A'.repeat(22)}.${'A'.repeat(43)}.${'A'.repeat(43)}`,
  `sid=${'A'.repeat(110)}`,
  `sid=${'%00'.repeat(40)}`,
  `sid="${'A'.repeat(22)}.${'A'.repeat(43)}.${'A'.repeat(43)}"`,
  `${'sid=AAAA; '.repeat(500)}`,
  `visit=${'='.repeat(4000)}`,
  '=;;=; sid; =sid=; sid =x',
]

export const visitorLaws: readonly AdapterLaw[] = [
  {
    law: 10,
    name: 'a visitor for whom nothing is stored gets no cookie and costs no store call',
    async prove({ open, gate }) {
      const browser = (await open(routes)).browser()
      for (const path of ['/quiet', '/me', '/data', '/logout']) {
        const reply = await browser.get(path)
        assert.equal(reply.status, 200)
        assert.deepEqual(cookiesIn(reply), [], path)
      }
      assert.deepEqual(
        Object.values(gate.calls).filter(count => count > 0),
        [],
      )
    },
  },
  {
    law: 10,
    name: 'a response whose handler never looked at the session says nothing of cookies',
    async prove({ open }) {
      const browser = (await open(routes)).browser()
      await browser.post('/login')
      for (const visitor of [(await open(routes)).browser(), browser]) {
        const { headers } = await visitor.get('/quiet')
        assert.equal(headers.get('vary')?.match(/cookie/i) ?? null, null)
        assert.equal(headers.get('cache-control')?.match(/private|no-store/) ?? null, null)
        assert.deepEqual(headers.getSetCookie(), [])
      }
    },
  },
  {
    law: 7,
    name: 'garbage in the place of a token is nobody, and costs no store call',
    async prove({ open, gate }) {
      const browser = (await open(routes)).browser()
      for (const cookie of garbage) {
        const reply = await browser.get('/me', { cookie })
        assert.equal(reply.status, 200, cookie)
        assert.equal(reply.body, 'nobody', cookie)
        assert.deepEqual(cookiesIn(reply), [], cookie)
      }
      assert.deepEqual(
        Object.values(gate.calls).filter(count => count > 0),
        [],
      )
    },
  },
  {
    law: 7,
    name: 'a real token changed in any one place is nobody, and costs no store call',
    async prove({ open, gate }) {
      const browser = (await open(routes)).browser()
      await browser.post('/login')
      const { sid = '' } = browser.cookies
      gate.reset()
      for (let at = 0; at < sid.length; at += 3) {
        const other = sid[at] === 'A' ? 'B' : 'A'
        const cookie = `sid=${sid.slice(0, at)}${other}${sid.slice(at + 1)}`
        assert.equal((await browser.get('/me', { cookie })).body, 'nobody', String(at))
      }
      assert.equal(gate.calls.read, 0)
    },
  },
  {
    law: 5,
    name: 'neither a token nor its secret is in the store, in an event or in an error',
    async prove({ open, gate }) {
      const site = await open(routes)
      const told: unknown[] = []
      for (const name of ['login', 'session.created', 'session.rotated', 'session.ended', 'store.failed'] as const) {
        site.sessions.on(name, event => told.push(event))
      }
      const browser = site.browser()
      await browser.post('/visit')
      await browser.post('/login')
      gate.onCall(() => {
        throw new Error('no connection')
      })
      told.push((await browser.post('/cart')).body)
      gate.reset()
      const { records } = await gate.store.scan(null, 10)
      const { sid = '' } = browser.cookies
      const [, secret = '', mac = ''] = sid.split('.')
      const seen = JSON.stringify([records, told])
      assert.ok(secret.length > 20 && mac.length > 20 && records.length > 0 && told.length > 3)
      assert.equal(seen.includes(secret), false)
      assert.equal(seen.includes(mac), false)
    },
  },
]
