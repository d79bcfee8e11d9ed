import { createSessions, type SessionsOptions } from 'coatcheck'
import { memoryStore } from 'coatcheck/memory'
import { afterEach, describe, expect, test } from 'vitest'
import { openSite, type Site } from './site.ts'
import { frameworks } from './sites.ts'

const PASSWORD = 'k7#pQz!w and more'
const SECRET = 'a secret of thirty-two bytes at least, for tests'
const sites: Site[] = []
afterEach(async () => {
  for (const site of sites.splice(0)) await site.close()
})

describe('the five mistakes that tutorials warn of', () => {
  const production = (options: Partial<SessionsOptions>) =>
    createSessions({ store: memoryStore(), secret: SECRET, production: true, ...options })

  test('1: a memory store in production does not start', () => {
    expect(() => production({})).toThrow(/memory-store/)
  })

  test('2: a cookie that scripts can read does not start in production, and is not the default anywhere', () => {
    const store = { ...memoryStore(), developmentOnly: false }
    expect(() => production({ store, cookie: { httpOnly: false } })).toThrow(/script-readable-cookie/)
  })

  describe.each(frameworks)('on $name', framework => {
    async function open(): Promise<Site> {
      const site = await openSite(framework)
      sites.push(site)
      return site
    }

    test('2, 3: a login gives another token than the one that was planted before it, in an HttpOnly cookie', async () => {
      const site = await open()
      const { id, email } = await site.person(PASSWORD)
      const attacker = site.visitor()
      await attacker.post('/cart')
      const victim = site.visitor(attacker)
      const { setCookie } = await victim.post('/login', { email, password: PASSWORD })
      expect(setCookie.find(line => line.startsWith('__Host-sid='))).toMatch(/; HttpOnly/)
      expect(await victim.whoAmI()).toBe(id)
      expect(await attacker.whoAmI()).toBeUndefined()
    })

    test('4: a logout ends the session in the store, so that a copy of the cookie is worth nothing', async () => {
      const site = await open()
      const { id, email } = await site.person(PASSWORD)
      const visitor = site.visitor()
      await visitor.post('/login', { email, password: PASSWORD })
      const copy = site.visitor(visitor)
      expect(await copy.whoAmI()).toBe(id)
      expect((await visitor.post('/logout')).status).toBe(200)
      expect(await copy.whoAmI()).toBeUndefined()
      expect(await site.sessions.list(id)).toEqual([])
    })

    test('5: who only looks gets no session and no cookie', async () => {
      const site = await open()
      for (const path of ['/', '/me', '/nothing', '/members/devices'])
        expect((await site.visitor().get(path)).setCookie).toEqual([])
      expect((await site.sessions.scan()).sessions).toEqual([])
    })
  })
})
