import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { findToken } from '../../src/core/cookie.ts'
import { createSessions } from '../../src/core/sessions.ts'
import { TOKEN_LENGTH, Tokens } from '../../src/core/token.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { gatedStore } from '../../src/testing/gate.ts'
import { facts, SECRET } from './world.ts'

const tokens = new Tokens([SECRET])

describe('the token', () => {
  test('ASVS 7.2.3, 11.5.1: ids of 128 and secrets of 256 random bits, none of a hundred thousand twice', () => {
    const seen = new Set<string>()
    for (let i = 0; i < 100_000; i++) seen.add(tokens.newId())
    expect(seen.size).toBe(100_000)
    expect(Buffer.from(tokens.newId(), 'base64url')).toHaveLength(16)
    expect(Buffer.from(tokens.mint(tokens.newId()).value.split('.')[1] as string, 'base64url')).toHaveLength(32)
    expect(tokens.mint(tokens.newId()).value).toHaveLength(TOKEN_LENGTH)
  })

  test('law 7: no other spelling of a token verifies, not even one that decodes to the same bytes', () => {
    const { value } = tokens.mint(tokens.newId())
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ "'
    for (let at = 0; at < value.length; at++) {
      for (const character of alphabet) {
        if (character === value[at]) continue
        expect(tokens.verify(value.slice(0, at) + character + value.slice(at + 1))).toBeUndefined()
      }
    }
    expect(tokens.verify(value)).toMatchObject({ id: value.slice(0, 22) })
  })

  test('ASVS 11.2.2, 13.3.4: a new first secret signs, the old one still verifies, and does not once it is gone', () => {
    const newer = `${SECRET} of the next year`
    const old = tokens.mint(tokens.newId())
    const rotated = new Tokens([newer, SECRET])
    expect(rotated.verify(old.value)).toBeDefined()
    expect(new Tokens([newer]).verify(rotated.mint(rotated.newId()).value)).toBeDefined()
    expect(new Tokens([newer]).verify(old.value)).toBeUndefined()
  })
})

describe('finding the token in a Cookie header', () => {
  const [mine, other] = [tokens.mint(tokens.newId()), tokens.mint(tokens.newId())]
  const garbage = 'x'.repeat(TOKEN_LENGTH)
  const rows: [string, string, string | undefined][] = [
    ['alone', `sid=${mine.value}`, mine.id],
    ['among others', `a=b; sid=${mine.value}; c=d`, mine.id],
    ['without blanks', `a=b;sid=${mine.value};c=d`, mine.id],
    ['with tabs', `a=b;\tsid=${mine.value}\t;c=d`, mine.id],
    ['as the end of another name', `xsid=${mine.value}`, undefined],
    ['in the value of another', `a=sid=${mine.value}`, undefined],
    ['quoted', `sid="${mine.value}"`, undefined],
    ['twice the same', `sid=${mine.value}; sid=${mine.value}`, mine.id],
    ['two different', `sid=${mine.value}; sid=${other.value}`, 'ambiguous'],
    ['beside planted garbage', `sid=${garbage}; sid=${mine.value}`, mine.id],
    ['behind more garbage than is looked at', `${`sid=${garbage}; `.repeat(8)}sid=${mine.value}`, 'ambiguous'],
    ['empty', 'sid=', undefined],
    ['without a value', 'sid', undefined],
    ['nothing', '', undefined],
  ]
  test.each(rows)('%s', (_name, header, expected) => {
    const found = findToken(header, 'sid', tokens)
    expect(typeof found === 'object' ? found.id : found).toBe(expected)
  })
})

describe('law 7: garbage is cheap', () => {
  /** The Cookie header of a living record: what is one bit away from it must not sign in. */
  let living = ''
  const flipped = fc.tuple(fc.nat(), fc.nat(7)).map(([nth, bit]) => {
    const at = 'sid='.length + (nth % (living.length - 'sid='.length))
    return living.slice(0, at) + String.fromCharCode(living.charCodeAt(at) ^ (1 << bit)) + living.slice(at + 1)
  })
  const lookalike = fc.stringMatching(/^[\w-]{22}\.[\w-]{43}\.[\w-]{43}$/).map(text => `sid=${text}`)
  // The long ones take their time: few of each.
  const cookie = fc.oneof(
    { weight: 20, arbitrary: fc.string({ unit: 'binary', maxLength: 400 }) },
    { weight: 40, arbitrary: flipped },
    { weight: 20, arbitrary: lookalike },
    {
      weight: 20,
      arbitrary: fc
        .tuple(fc.constantFrom('sid', 'visit', '__Host-sid', 'SID'), fc.base64String({ maxLength: 200 }))
        .map(pair => pair.join('=')),
    },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 400, size: 'max' }) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary-ascii', maxLength: 16_384, size: 'max' }) },
    {
      weight: 1,
      arbitrary: fc.array(fc.oneof(flipped, lookalike), { maxLength: 140, size: 'max' }).map(all => all.join('; ')),
    },
  )

  test('law 7: 100,000 generated cookie headers: no crash, no store call, nobody signed in', { timeout: 240_000 }, async () => {
    const gate = gatedStore(memoryStore())
    const sessions = createSessions({ store: gate.store, secret: SECRET, production: false })
    living = await sessions.issue('ann')
    // Whatever is remembered of a token that verified must not help another one.
    expect((await sessions.open(living, facts)).session.userId).toBe('ann')
    gate.reset()
    let signedIn = 0
    let longest = 0
    await fc.assert(
      fc.asyncProperty(cookie, async header => {
        longest = Math.max(longest, header.length)
        const exchange = await sessions.open(header, facts)
        if (exchange.session.userId !== undefined || exchange.session.id !== undefined) signedIn++
        expect((await exchange.commit()).setCookie).toEqual([])
      }),
      { numRuns: 100_000 },
    )
    expect(signedIn).toBe(0)
    expect(longest).toBeGreaterThan(16_000)
    expect(Object.values(gate.calls).reduce((sum, count) => sum + count)).toBe(0)
  })
})
