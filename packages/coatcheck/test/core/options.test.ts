import { describe, expect, test } from 'vitest'
import { type SessionsOptions, settingsFrom } from '../../src/core/options.ts'
import { createSessions } from '../../src/core/sessions.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { Browser, SECRET } from './world.ts'

const base = { secret: SECRET, store: memoryStore(), production: false }

describe('law 12: safe unless named', () => {
  const weak: [string, Partial<SessionsOptions>][] = [
    ['memory-store', { store: memoryStore() }],
    ['insecure-cookie', { cookie: { secure: false } }],
    ['script-readable-cookie', { cookie: { httpOnly: false } }],
    ['cross-site-cookie', { cookie: { sameSite: 'none' } }],
    ['domain-cookie', { cookie: { domain: 'example.com' } }],
  ]
  test.each(weak)('law 12: %s is refused in production, allowed by its name, and allowed in development', (name, option) => {
    const store = { ...memoryStore(), developmentOnly: false }
    const production = { secret: SECRET, store, production: true, ...option }
    expect(() => settingsFrom(production)).toThrow(name)
    expect(settingsFrom({ ...production, allowInProduction: [name as never] })).toBeDefined()
    expect(settingsFrom({ ...production, production: false, cookie: { secure: true, ...option.cookie } })).toBeDefined()
  })

  test('ASVS 3.3.1, 3.3.3, 3.3.4: the production cookies, set and expired, carry the prefix and all four attributes', async () => {
    const store = { ...memoryStore(), developmentOnly: false }
    const sessions = createSessions({ secret: SECRET, store, production: true })
    const browser = new Browser()
    const exchange = await browser.send(sessions)
    await exchange.session.login('ann')
    const [set = ''] = (await exchange.commit()).setCookie
    expect(set).toMatch(/^__Host-sid=[\w.-]{110}; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
    browser.receive([set])
    const out = await browser.send(sessions)
    await out.session.logout()
    expect((await out.commit()).setCookie).toEqual([
      '__Host-sid=; Max-Age=0; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax',
    ])
    const visit = await new Browser().send(sessions)
    Object.assign(visit.session, { cart: 1 })
    expect((await visit.commit()).setCookie[0]).toMatch(/^__Host-visit=/)
  })
})

describe('options', () => {
  const rows: [string, Partial<SessionsOptions> | { [key: string]: unknown }, RegExp][] = [
    ['no secret', { secret: undefined }, /secret must be 32 bytes/],
    ['a short secret', { secret: 'short' }, /secret must be 32 bytes/],
    ['an empty list of secrets', { secret: [] }, /secret must be 32 bytes/],
    ['no store', { store: undefined }, /store must be/],
    ['a nonsense duration', { idleTimeout: '3 weeks' }, /idleTimeout/],
    ['a negative duration', { absoluteTimeout: -1 }, /absoluteTimeout/],
    ['an endless duration', { absoluteTimeout: Number.POSITIVE_INFINITY }, /absoluteTimeout/],
    ['touchEvery above idle', { idleTimeout: '5m', touchEvery: '5m' }, /touchEvery/],
    ['a prefixed cookie name', { cookie: { name: '__Host-x' } }, /cookie.name/],
    ['a cookie name with a blank', { cookie: { name: 'a b' } }, /cookie.name/],
    ['SameSite of another kind', { cookie: { sameSite: 'relaxed' } }, /sameSite/],
    ['None without Secure', { cookie: { sameSite: 'none' } }, /cookie.secure/],
    ['a path without slash', { cookie: { path: 'app' } }, /cookie.path/],
    ['no room for data', { maxDataBytes: 0 }, /maxDataBytes/],
    ['half a session', { maxSessionsPerUser: 0.5 }, /maxSessionsPerUser/],
  ]
  test.each(rows)('%s is refused at start-up, by name', (_name, option, message) => {
    expect(() => settingsFrom({ ...base, ...(option as Partial<SessionsOptions>) })).toThrow(message)
  })

  test('ASVS 7.1.1: the defaults are those that the documentation states', () => {
    const { clocks, maxDataBytes, maxSessionsPerUser, signedInCookie, visitCookie } = settingsFrom(base)
    expect(clocks).toEqual({ idleMs: 86_400_000, absoluteMs: 30 * 86_400_000, touchEveryMs: 300_000 })
    expect([maxDataBytes, maxSessionsPerUser, signedInCookie, visitCookie]).toEqual([262_144, 100, 'sid', 'visit'])
  })
})
