import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { AdapterLaw, Routes } from '../adapter-laws.ts'
import { change, cookiesIn, routes } from './routes.ts'

const AT_ONCE = 20
const LONG_ENOUGH_MS = 40

/** One route for each of many keys: `/key-7` sets key7. */
const keyRoutes: Routes = Object.fromEntries(
  Array.from({ length: AT_ONCE }, (_, i) => [`/key-${i}`, ({ session }) => change(session, { [`key${i}`]: i })]) satisfies [
    string,
    Routes[string],
  ][],
)

export const savingLaws: readonly AdapterLaw[] = [
  {
    law: 3,
    name: 'parallel requests that each set a key of their own, through two processes, keep them all',
    async prove({ open, openElsewhere }) {
      const [one, two] = [await open({ ...routes, ...keyRoutes }), await openElsewhere({ ...routes, ...keyRoutes })]
      const browser = one.browser()
      await browser.post('/login')
      const replies = await Promise.all(
        Array.from({ length: AT_ONCE }, (_, i) => (i % 2 === 0 ? one : two).browser(browser).post(`/key-${i}`)),
      )
      const data = JSON.parse((await browser.get('/data')).body) as Record<string, unknown>
      for (const [i, { status }] of replies.entries()) {
        assert.ok(status === 200 || status === 503, String(status))
        if (status === 200) assert.equal(data[`key${i}`], i, `key${i} was acknowledged and is lost`)
      }
      assert.ok(replies.filter(({ status }) => status === 200).length > AT_ONCE / 2)
    },
  },
  {
    law: 4,
    name: 'who has the answer to a login, a change or a logout finds it done on another process',
    async prove({ open, openElsewhere }) {
      const [one, two] = [await open(routes), await openElsewhere(routes)]
      const browser = one.browser()
      await browser.post('/login')
      assert.equal((await two.browser(browser).get('/me')).body, 'alice')
      await browser.post('/visit')
      assert.equal((await two.browser(browser).get('/data')).body, '{"userId":"alice","seen":1}')
      const before = two.browser(browser)
      await browser.post('/logout')
      assert.equal((await before.get('/me')).body, 'nobody')
    },
  },
  ...(['create', 'replace'] as const).map(
    (method): AdapterLaw => ({
      law: 4,
      name: `nothing of the answer arrives before the store has answered to ${method}`,
      async prove({ open, gate }) {
        const browser = (await open(routes)).browser()
        if (method === 'replace') await browser.post('/visit')
        const held = gate.hold(method, 'after')
        let replied = false
        const reply = browser.post('/cart').finally(() => {
          replied = true
        })
        await held.arrived
        await delay(LONG_ENOUGH_MS)
        assert.equal(replied, false)
        held.release()
        assert.equal((await reply).status, 200)
      },
    }),
  ),
  {
    name: 'an unchanged request writes nothing, and sends no cookie',
    async prove({ open, gate }) {
      const browser = (await open(routes)).browser()
      await browser.post('/login')
      gate.reset()
      for (let i = 0; i < 3; i++) assert.deepEqual(cookiesIn(await browser.get('/me')), [])
      assert.deepEqual(
        Object.entries(gate.calls).filter(([, count]) => count > 0),
        [['read', 3]],
      )
    },
  },
  {
    name: 'a saved change sends no cookie: only a token that is born, rotated or ended does',
    async prove({ open }) {
      const browser = (await open(routes)).browser()
      assert.deepEqual(cookiesIn(await browser.post('/visit')), ['visit'])
      assert.deepEqual(cookiesIn(await browser.post('/cart')), [])
      assert.deepEqual([...cookiesIn(await browser.post('/login'))].sort(), ['sid', 'visit'])
      assert.deepEqual(cookiesIn(await browser.post('/cart')), [])
      assert.deepEqual(cookiesIn(await browser.post('/promote')), ['sid'])
      assert.deepEqual(cookiesIn(await browser.post('/logout')), ['sid'])
    },
  },
]
