import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CoatcheckError } from '../../src/core/errors.ts'
import { answerTo, checkFresh, checkRole, checkSignedIn, loginLocation, safeReturnPath, wantsPage } from '../../src/core/guard.ts'
import { createSessions } from '../../src/core/sessions.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { Browser, SECRET, TestClock } from './world.ts'

describe('ASVS 3.7.2: the way back after login never leaves the site', () => {
  test.each([
    '//evil.com',
    '///evil.com',
    '/\\evil.com',
    '\\\\evil.com',
    '/.//evil.com',
    '/..//evil.com',
    '/a/..//evil.com',
    '/%2e//evil.com',
    '/./\\evil.com',
    'https:evil.com',
    'https://evil.com',
    'javascript:alert(1)',
    '/\t/evil.com',
    '/\n/evil.com',
    ' //evil.com',
    'evil.com',
    '@evil.com',
    '',
    undefined,
    null,
    ['/a'],
    `/${'a'.repeat(3000)}`,
  ])('%j is refused', value => {
    expect(safeReturnPath(value, '/home')).toBe('/home')
  })

  test.each(['/', '/dashboard', '/a/b?c=d&e=%2F%2Fevil#f', '/search?q=https://evil.com', '/%2F%2Fevil'])('%s is kept', value => {
    expect(safeReturnPath(value)).toBe(value)
  })

  test('of 10,000 generated forms none resolves away from the site', () => {
    const piece = fc.constantFrom(
      '/',
      '\\',
      '.',
      '..',
      '%2e',
      '%2f',
      '%5c',
      '@',
      ':',
      '//',
      'evil.com',
      'https:',
      '\t',
      '\n',
      '?',
      '#',
      ' ',
      'a',
      '\u3002',
      '\uff0f',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 10 }), pieces => {
        const path = safeReturnPath(`/${pieces.join('')}`)
        const resolved = new URL(path, 'https://site.example')
        expect(resolved.origin).toBe('https://site.example')
        // And once more, as a redirect that some middleware normalises again would be.
        expect(new URL(resolved.pathname + resolved.search, 'https://site.example').origin).toBe('https://site.example')
      }),
      { numRuns: 10_000 },
    )
  })

  test('a login location keeps its own query and names the page', () => {
    expect(loginLocation('/login', '/a?b=c')).toBe('/login?returnTo=%2Fa%3Fb%3Dc')
    expect(loginLocation('/login?lang=de', '//evil')).toBe('/login?lang=de&returnTo=%2F')
  })
})

describe('the guards', () => {
  test('tell who may pass, and why not', async () => {
    const clock = new TestClock()
    const sessions = createSessions({ store: memoryStore({ clock }), secret: SECRET, production: false, clock })
    const browser = new Browser()
    const nobody = (await browser.send(sessions)).session
    const refusals = await Promise.all([checkSignedIn(nobody), checkRole(nobody, ['admin']), checkFresh(nobody, 1000)])
    expect(refusals.map(error => error?.code)).toEqual(Array(3).fill('NOT_AUTHENTICATED'))
    await browser.request(sessions, async ({ session }) => {
      await session.login('ann')
      session.role = 'member'
    })
    const { session } = await browser.send(sessions)
    expect(checkSignedIn(session)).toBeUndefined()
    expect((await checkRole(session, ['admin', 'boss']))?.code).toBe('FORBIDDEN')
    expect(checkRole(session, ['admin', 'member'])).toBeUndefined()
    expect(checkFresh(session, 600_000)).toBeUndefined()
    clock.advance(600_000)
    expect((await checkFresh(session, 600_000))?.code).toBe('REAUTH_REQUIRED')
    const stale = browser.fork()
    await browser.request(sessions, exchange => exchange.session.rotate())
    expect(checkSignedIn((await stale.send(sessions)).session)?.code).toBe('SESSION_SUPERSEDED')
  })

  test.each([
    [new CoatcheckError('NOT_AUTHENTICATED', 'x'), 401, { error: 'Not authenticated' }],
    [new CoatcheckError('FORBIDDEN', 'x'), 403, { error: 'Forbidden' }],
    [
      new CoatcheckError('STORE_UNAVAILABLE', 'redis://user:pass@host'),
      503,
      { error: 'Service unavailable', code: 'STORE_UNAVAILABLE' },
    ],
    [
      new CoatcheckError('NOT_SUPPORTED', 'memcached lists nothing'),
      501,
      { error: 'Not supported by the session store', code: 'NOT_SUPPORTED' },
    ],
    [new CoatcheckError('BAD_IDENTITY', 'secret detail'), 500, { error: 'Internal server error', code: 'BAD_IDENTITY' }],
    [new Error('secret detail'), 500, { error: 'Internal server error' }],
    ['not even an error', 500, { error: 'Internal server error' }],
  ])('%s is answered without details', (error, status, body) => {
    const answer = answerTo(error)
    expect([answer.status, JSON.parse(answer.body)]).toEqual([status, body])
    expect(answer.headers['Cache-Control']).toBe('no-store')
  })

  test('a failure that will pass says when to come back', () => {
    expect(answerTo(new CoatcheckError('STORE_UNAVAILABLE', 'x', { retryAfter: 1.2 })).headers['Retry-After']).toBe('2')
  })

  test.each([
    ['GET', 'text/html,application/xhtml+xml,*/*;q=0.8', true],
    ['HEAD', 'text/html', true],
    ['GET', 'application/json', false],
    ['GET', 'application/json, text/html', false],
    ['GET', '*/*', false],
    ['GET', undefined, false],
    ['POST', 'text/html', false],
  ])('%s with Accept %s: a page is wanted: %s', (method, accept, expected) => {
    expect(wantsPage(method, accept)).toBe(expected)
  })
})
