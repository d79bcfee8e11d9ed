import { scryptSync } from 'node:crypto'
import { hash as bcryptHash } from '@node-rs/bcrypt'
import { describe, expect, test } from 'vitest'
import { PasswordHasher } from '../../src/passwords/hasher.ts'

// Cheap hashes, where the cost is not what is tested.
const cheap = { memoryKiB: 8, passes: 1, concurrency: 2, longestQueue: 10_000, acceptTruncatedBcrypt: false }
const hasher = new PasswordHasher(cheap)

/** Strings that other programs made, from the specifications' own test vectors. */
const foreign = [
  [
    'argon2id (reference implementation)',
    'password',
    '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc',
  ],
  ['bcrypt $2a (Openwall)', 'U*U', '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'],
  ['bcrypt $2b', 'U*U', '$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'],
  ['bcrypt $2y (PHP)', 'U*U', '$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'],
  [
    'scrypt (RFC 7914 §12)',
    'pleaseletmein',
    '$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw',
  ],
] as const

describe('strings of other programs', () => {
  test.each(foreign)(
    '%s: the right password matches, another does not, and it is to be hashed anew',
    async (_name, password, stored) => {
      expect(await hasher.verify(password, stored)).toBe('match')
      expect(await hasher.verify(`${password}!`, stored)).toBe('mismatch')
      expect(await hasher.verify('', stored)).toBe('mismatch')
      expect(new PasswordHasher({ ...cheap, memoryKiB: 19_456, passes: 2 }).needsRehash(stored)).toBe(true)
    },
  )
})

describe('every byte counts', () => {
  const long = 'x'.repeat(4096)
  const pairs = [
    ['the 73rd byte', `${'a'.repeat(72)}b`, `${'a'.repeat(72)}c`],
    ['the last of 64', `${'a'.repeat(63)}b`, `${'a'.repeat(63)}c`],
    ['the last of 4096', `${long}b`, `${long}c`],
    ['what comes after a NUL', 'before\0after', 'before\0other'],
    ['a NUL at the end', 'password', 'password\0'],
    ['several', 'password', 'password\0\0\0'],
    ['the password again, behind a NUL', 'password', 'password\0password'],
    ['a NUL alone', '', '\0'],
    ['upper and lower case', 'Password', 'password'],
    ['white space at the ends', ' password ', 'password'],
    ['composed and decomposed letters', 'caf\u00e9 noir', 'cafe\u0301 noir'],
    ['emoji', '👩‍👩‍👧 family', '👩‍👩‍👦 family'],
  ] as const
  const kinds = [
    ['argon2id', (password: string) => hasher.hash(password)],
    ['bcrypt', (password: string) => bcryptHash(password, { cost: 4 })],
    ['scrypt', async (password: string) => scryptOf(password)],
  ] as const

  describe.each(kinds)('%s', (kind, store) => {
    test.each(pairs)('ASVS 6.2.8: %s', async (_name, right, wrong) => {
      const stored = await store(right)
      const verdicts = [await hasher.verify(right, stored), await hasher.verify(wrong, stored)]
      // What bcrypt and scrypt cannot tell apart, they are not believed about.
      const blurred = kind !== 'argon2id' && right.includes('\0')
      if (kind === 'bcrypt' && right.length > 72) expect(verdicts).not.toContain('match')
      else expect(verdicts).toEqual([blurred ? 'mismatch' : 'match', 'mismatch'])
    })
  })

  test('half a character, which has no bytes, matches nothing: not even the character that replaces it', async () => {
    const stored = await hasher.hash('\ufffd\ufffd\ufffd')
    expect(await hasher.verify('\ud800\ud801\ud802', stored)).toBe('mismatch')
    expect(await hasher.verify('\ufffd\ufffd\ufffd', stored)).toBe('match')
  })
})

describe("bcrypt's 72 bytes are never silent", () => {
  const password = `${'é'.repeat(36)} and more`

  test('a longer password is not believed on its first 72 bytes', async () => {
    const stored = await bcryptHash(password, { cost: 4 })
    expect(await hasher.verify(password, stored)).toBe('beyond-bcrypt')
    expect(await hasher.verify(`${'é'.repeat(36)} other`, stored)).toBe('beyond-bcrypt')
    expect(await hasher.verify(`x${password}`, stored)).toBe('mismatch')
  })

  test('72 bytes are', async () => {
    const stored = await bcryptHash('é'.repeat(36), { cost: 4 })
    expect(await hasher.verify('é'.repeat(36), stored)).toBe('match')
  })

  test('where it is meant by name, a longer one is believed, and the new string holds every byte of it', async () => {
    const accepting = new PasswordHasher({ ...cheap, acceptTruncatedBcrypt: true })
    const stored = await bcryptHash(password, { cost: 4 })
    expect(await accepting.verify(password, stored)).toBe('match')
    expect(accepting.needsRehash(stored)).toBe(true)
    const anew = await accepting.hash(password)
    expect(await accepting.verify(`${'é'.repeat(36)} other`, anew)).toBe('mismatch')
  })
})

describe('one hash is computed on each path', () => {
  test.each([
    ['the right password', 'password', foreign[1][2], 'mismatch'],
    ['nobody', 'password', undefined, 'mismatch'],
    ['no password', 'password', null, 'mismatch'],
    ['an empty string', 'password', '', 'mismatch'],
    ['a damaged string', 'password', '$argon2id$v=19$m=65536,t=2', 'unreadable'],
    ['half a character', '\ud800', foreign[1][2], 'mismatch'],
    ['a NUL against bcrypt', 'U*U\0U*U', foreign[1][2], 'mismatch'],
    ['a NUL against scrypt', 'pleaseletmein\0', foreign[4][2], 'mismatch'],
  ] as const)('%s', async (_name, password, stored, verdict) => {
    const before = hasher.computed
    expect(await hasher.verify(password, stored)).toBe(verdict)
    expect(hasher.computed - before).toBe(1)
  })

  test('the decoy costs what a real string costs', async () => {
    const real = new PasswordHasher({ ...cheap, memoryKiB: 19_456, passes: 2 })
    const stored = await real.hash('password')
    const times = { known: [] as number[], unknown: [] as number[] }
    // In turn, so that a machine that is busy for a while slows both; and the least of each, which nobody slowed.
    for (let i = 0; i < 40; i++) {
      const startedAt = performance.now()
      await real.verify('wrong', i % 2 === 0 ? stored : undefined)
      times[i % 2 === 0 ? 'known' : 'unknown'].push(performance.now() - startedAt)
    }
    const [known, unknown] = [Math.min(...times.known), Math.min(...times.unknown)]
    console.log(`the least of 20 checks: known ${known.toFixed(2)} ms, unknown ${unknown.toFixed(2)} ms`)
    expect(unknown / known).toBeGreaterThan(0.5)
    expect(unknown / known).toBeLessThan(2)
  })
})

function scryptOf(password: string): string {
  const base64 = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '')
  const salt = Buffer.from('sixteen bytes, so')
  return `$scrypt$ln=4,r=8,p=1$${base64(salt)}$${base64(scryptSync(password, salt, 32, { N: 16 }))}`
}

test("a new string is argon2id of today's cost, with a salt of its own", async () => {
  const [one, two] = await Promise.all([hasher.hash('same'), hasher.hash('same')])
  expect(one).toMatch(/^\$argon2id\$v=19\$m=8,t=1,p=1\$[\w+/]{22}\$[\w+/]{43}$/)
  expect(one).not.toBe(two)
  expect(hasher.needsRehash(one)).toBe(false)
})

test('the event loop goes on while hashes are computed', async () => {
  const real = new PasswordHasher({ ...cheap, memoryKiB: 65_536, passes: 3 })
  let ticks = 0
  const timer = setInterval(() => ticks++, 1)
  await Promise.all([real.hash('one'), real.hash('two')])
  clearInterval(timer)
  expect(ticks).toBeGreaterThan(10)
})
