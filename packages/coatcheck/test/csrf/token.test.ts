import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { deriveKey, randomText } from '../../src/core/crypto.ts'
import { type Binding, isCsrfToken, isNonce, mintCsrfToken, newNonce } from '../../src/csrf/token.ts'

const NEW = deriveKey('the newer secret of thirty-two bytes or more', 'csrf token')
const OLD = deriveKey('the older secret of thirty-two bytes or more', 'csrf token')
const session: Binding = { to: 'session', value: randomText(32) }
const visitor: Binding = { to: 'visitor', value: newNonce() }

describe('a token', () => {
  test('is valid for its own binding, as often as it is used', () => {
    const token = mintCsrfToken([NEW], session)
    expect([isCsrfToken([NEW], session, token), isCsrfToken([NEW], session, token)]).toEqual([true, true])
  })

  test('is not valid for another session (ASVS 3.5.1), nor for the same one after a rotation', () => {
    expect(isCsrfToken([NEW], { ...session, value: randomText(32) }, mintCsrfToken([NEW], session))).toBe(false)
  })

  test("a visitor's is void for a session, and a session's for a visitor, also where the values are equal", () => {
    const twin: Binding = { to: 'visitor', value: session.value }
    expect(isCsrfToken([NEW], session, mintCsrfToken([NEW], twin))).toBe(false)
    expect(isCsrfToken([NEW], twin, mintCsrfToken([NEW], session))).toBe(false)
    expect(isCsrfToken([NEW], visitor, mintCsrfToken([NEW], visitor))).toBe(true)
  })

  test('is another text each time, so that a compressed page tells nothing of it', () => {
    const tokens = Array.from({ length: 1000 }, () => mintCsrfToken([NEW], session))
    expect(new Set(tokens).size).toBe(1000)
    expect(new Set(tokens.map(token => token.split('.')[1])).size).toBe(1000)
  })

  test('shows neither what it is bound to nor the key', () => {
    const token = mintCsrfToken([NEW], session)
    expect(token).not.toContain(session.value)
    expect(token).toMatch(/^[\w-]{22}\.[\w-]{43}$/)
  })

  test('is HMAC-SHA256 under a key of its own (a foreign computation)', () => {
    const [mask, mac] = mintCsrfToken([NEW], session).split('.')
    expect(createHmac('sha256', NEW).update(`session.${session.value}.${mask}`).digest('base64url')).toBe(mac)
    expect(NEW).not.toEqual(deriveKey('the newer secret of thirty-two bytes or more', 'token mac'))
  })
})

describe('when secrets are rotated (ASVS 11.2.2)', () => {
  const before = mintCsrfToken([OLD], session)

  test('the first signs', () => expect(isCsrfToken([NEW], session, mintCsrfToken([NEW, OLD], session))).toBe(true))
  test('an older one that is kept still verifies', () => expect(isCsrfToken([NEW, OLD], session, before)).toBe(true))
  test('an older one that is gone does not', () => expect(isCsrfToken([NEW], session, before)).toBe(false))
})

describe('what is no token is refused without a word', () => {
  const token = mintCsrfToken([NEW], session)
  const [mask, mac] = token.split('.') as [string, string]
  test.each([
    ['none', undefined],
    ['null', null],
    ['an empty one', ''],
    ['a dot', '.'],
    ['no mac', `${mask}.`],
    ['no mask', `.${mac}`],
    ['the mask alone', mask],
    ['three parts', `${token}.${mac}`],
    ['two of them', `${token},${token}`],
    ['parts changed over', `${mac}.${mask}`],
    ['a blank after', `${token} `],
    ['a newline after', `${token}\n`],
    ['standard base64', `${mask}=.${mac}=`],
    ['a list, as a form with two fields gives', [token]],
    ['an object', { toString: () => token }],
    ['true', true],
    ['a megabyte', 'a'.repeat(1 << 20)],
  ])('%s', (_, value) => expect(isCsrfToken([NEW], session, value)).toBe(false))

  test('every text that differs from a token in one character', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    for (let at = 0; at < token.length; at++)
      for (const letter of alphabet) {
        const other = token.slice(0, at) + letter + token.slice(at + 1)
        if (other !== token && isCsrfToken([NEW], session, other)) expect.fail(`${other} verifies`)
      }
  })

  test('20,000 generated ones', () => {
    const part = fc.stringMatching(/^[\w-]{0,44}$/)
    const look = fc.tuple(part, part).map(parts => parts.join('.'))
    fc.assert(
      fc.property(fc.oneof(fc.string(), look), text => !isCsrfToken([NEW, OLD], session, text)),
      { numRuns: 20_000 },
    )
  })
})

describe('a nonce', () => {
  test('is 256 random bits, and another one each time', () => {
    expect(new Set(Array.from({ length: 1000 }, newNonce)).size).toBe(1000)
    expect(Buffer.from(newNonce(), 'base64url')).toHaveLength(32)
    expect(isNonce(newNonce())).toBe(true)
  })

  test.each([undefined, '', 'x', 'a.b', 'A'.repeat(44)])('is not %o', value => expect(isNonce(value)).toBe(false))
})
