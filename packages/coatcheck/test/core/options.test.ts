import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { type SessionsOptions, settingsFrom, type Weakness } from '../../src/core/options.ts'
import { createSessions } from '../../src/core/sessions.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { Browser, SECRET } from './world.ts'

const base = { secret: SECRET, store: memoryStore(), production: false }

describe('law 12: safe unless named', () => {
  /** The option, and the cookie that it makes. A name that has no case here does not compile. */
  const weak: Record<Weakness, [Partial<SessionsOptions>, cookie: string]> = {
    'memory-store': [{ store: memoryStore() }, '__Host-sid=…; Path=/; HttpOnly; Secure; SameSite=Lax'],
    'insecure-cookie': [{ cookie: { secure: false } }, 'sid=…; Path=/; HttpOnly; SameSite=Lax'],
    'script-readable-cookie': [{ cookie: { httpOnly: false } }, '__Host-sid=…; Path=/; Secure; SameSite=Lax'],
    'cross-site-cookie': [{ cookie: { sameSite: 'none' } }, '__Host-sid=…; Path=/; HttpOnly; Secure; SameSite=None'],
    'domain-cookie': [
      { cookie: { domain: 'example.com' } },
      '__Secure-sid=…; Domain=example.com; Path=/; HttpOnly; Secure; SameSite=Lax',
    ],
    'path-cookie': [{ cookie: { path: '/staff' } }, '__Secure-sid=…; Path=/staff; HttpOnly; Secure; SameSite=Lax'],
  }
  const names = Object.keys(weak) as Weakness[]

  test.each(names)('law 12: %s is refused in production, allowed by its name, and allowed in development', async name => {
    const [option, cookie] = weak[name]
    const store = { ...memoryStore(), developmentOnly: false }
    const production = { secret: SECRET, store, production: true, ...option }
    const refusal = expect.objectContaining({ code: 'BAD_OPTION', message: expect.stringContaining(`'${name}'`) })
    expect(() => settingsFrom(production)).toThrow(refusal)
    expect(() => settingsFrom({ ...production, allowInProduction: names.filter(other => other !== name) })).toThrow(refusal)
    const exchange = await new Browser().send(createSessions({ ...production, allowInProduction: [name] }))
    await exchange.session.login('ann')
    const [set = ''] = (await exchange.commit()).setCookie
    expect(set.replace(/=[\w.-]{110};/, '=…;')).toBe(cookie)
    expect(settingsFrom({ ...production, production: false, cookie: { secure: true, ...option.cookie } })).toBeDefined()
  })

  test('law 12: NODE_ENV alone makes it production', () => {
    vi.stubEnv('NODE_ENV', 'production')
    onTestFinished(() => void vi.unstubAllEnvs())
    expect(() => settingsFrom({ secret: SECRET, store: memoryStore() })).toThrow(/'memory-store'/)
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
