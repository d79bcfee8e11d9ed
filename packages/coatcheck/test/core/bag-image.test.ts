import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createSessions } from '../../src/core/sessions.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { Browser, SECRET } from './world.ts'

type Free = Record<string, unknown>

describe('a record that many requests read', () => {
  const value = fc.oneof(fc.jsonValue(), fc.constant({ parts: [1, { deep: true }] }))
  const bag = fc.dictionary(fc.stringMatching(/^k[a-z]{1,2}$/), value, { maxKeys: 5, noNullPrototype: true })

  test('each gets the same data, shares no part of it with another, and has every change of it seen', async () => {
    await fc.assert(
      fc.asyncProperty(bag, bag, async (stored, changes) => {
        const sessions = createSessions({ store: memoryStore(), secret: SECRET, production: false })
        const browser = new Browser()
        await browser.request(sessions, ({ session }) => Object.assign(session, { userId: 'ann', ...stored }))
        const expected = JSON.parse(JSON.stringify({ userId: 'ann', ...stored })) as Free
        const [first, second, third] = [await browser.send(sessions), await browser.send(sessions), await browser.send(sessions)]
        for (const exchange of [first, second, third]) expect({ ...exchange.session }).toEqual(expected)
        for (const [key, held] of Object.entries(second.session as unknown as Free)) {
          if (typeof held === 'object' && held !== null) expect((third.session as unknown as Free)[key]).not.toBe(held)
        }
        Object.assign(third.session, changes)
        browser.receive((await third.commit()).setCookie)
        const changed = JSON.parse(JSON.stringify({ ...expected, ...changes })) as Free
        expect({ ...(await browser.send(sessions)).session }).toEqual(changed)
      }),
      { numRuns: 300 },
    )
  })

  test('a part changed in place, a deleted key and an added one are all seen', async () => {
    const sessions = createSessions({ store: memoryStore(), secret: SECRET, production: false })
    const browser = new Browser()
    const acts: ((bag: Free) => unknown)[] = [
      bag => (bag.list as number[]).push(2),
      bag => delete bag.plain,
      bag => Object.assign(bag, { added: null }),
      bag => Object.assign(bag, { list: 'no list' }),
    ]
    await browser.request(sessions, ({ session }) => Object.assign(session, { userId: 'ann', list: [1], plain: 1 }))
    for (const act of acts) {
      for (let i = 0; i < 3; i++) await browser.request(sessions, ({ session }) => session.userId)
      await browser.request(sessions, ({ session }) => act(session as unknown as Free))
    }
    expect({ ...(await browser.send(sessions)).session }).toEqual({ userId: 'ann', list: 'no list', added: null })
  })
})
