import assert from 'node:assert/strict'
import type { AdapterLaw } from '../adapter-laws.ts'
import { HOUR_MS } from '../records.ts'
import { routes } from './routes.ts'

const MINUTE_MS = 60_000

export const clockLaws: readonly AdapterLaw[] = [
  {
    law: 8,
    name: 'a session that is not used for the idle time is over; one that is used goes on',
    async prove({ open, clock }) {
      const site = await open(routes, { idleTimeout: '1h', touchEvery: '5m' })
      const [used, idle] = [site.browser(), site.browser()]
      await used.post('/login')
      await idle.post('/login')
      for (let i = 0; i < 4; i++) {
        clock.advance(20 * MINUTE_MS)
        assert.equal((await used.get('/quiet')).status, 200)
      }
      assert.equal((await used.get('/me')).body, 'alice')
      assert.equal((await idle.get('/me')).body, 'nobody')
    },
  },
  {
    law: 8,
    name: 'no use, save or rotation moves the absolute end',
    async prove({ open, clock }) {
      const site = await open(routes, { absoluteTimeout: '3h', idleTimeout: '2h' })
      const browser = site.browser()
      await browser.post('/login')
      for (const path of ['/me', '/cart', '/promote']) {
        clock.advance(HOUR_MS - 1000)
        assert.equal((await browser.post(path)).status, 200)
      }
      assert.equal((await browser.get('/me')).body, 'alice')
      clock.advance(4000)
      assert.equal((await browser.get('/me')).body, 'nobody')
    },
  },
  {
    law: 8,
    name: 'use is written down once in touchEvery, however many requests come',
    async prove({ open, clock, gate }) {
      const site = await open(routes, { touchEvery: '5m' })
      const browser = site.browser()
      await browser.post('/login')
      for (let minute = 0; minute < 20; minute++) {
        clock.advance(MINUTE_MS)
        await browser.get('/me')
        await browser.get('/quiet')
      }
      assert.ok(gate.calls.touch >= 3 && gate.calls.touch <= 4, `${gate.calls.touch} touches in 20 minutes`)
    },
  },
]
