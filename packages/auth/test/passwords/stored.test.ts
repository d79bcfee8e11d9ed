import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseStored } from '../../src/passwords/stored.ts'

const ARGON2 = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc'
const BCRYPT = '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'
const SCRYPT =
  '$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw'

describe('the three kinds of stored strings', () => {
  test('argon2', () => {
    expect(parseStored(ARGON2)).toEqual({
      kind: 'argon2',
      variant: 'argon2id',
      version: 19,
      memoryKiB: 65_536,
      passes: 2,
      lanes: 1,
      salt: Buffer.from('somesalt'),
      hashBytes: 32,
    })
  })

  test('argon2 of the first version, which names none', () => {
    expect(parseStored(ARGON2.replace('$v=19', ''))).toMatchObject({ version: 16 })
  })

  test.each(['$2a', '$2b', '$2y'])('bcrypt %s', prefix => {
    expect(parseStored(BCRYPT.replace('$2a', prefix))).toEqual({ kind: 'bcrypt', cost: 5 })
  })

  test('scrypt', () => {
    expect(parseStored(SCRYPT)).toMatchObject({
      kind: 'scrypt',
      logN: 14,
      blockSize: 8,
      lanes: 1,
      salt: Buffer.from('SodiumChloride'),
    })
  })
})

describe('what is damaged, unknown, or too costly to check is none of them', () => {
  test.each([
    ['empty', ''],
    ['plain text', 'password'],
    ['bcrypt $2x, made by a faulty program', BCRYPT.replace('$2a', '$2x')],
    ['bcrypt cut off', BCRYPT.slice(0, -1)],
    ['bcrypt with a tail', `${BCRYPT}x`],
    ['bcrypt of cost 31, which takes a day', BCRYPT.replace('$05', '$31')],
    ['bcrypt of cost 3', BCRYPT.replace('$05', '$03')],
    ['argon2 cut off in its hash', ARGON2.slice(0, -30)],
    ['argon2 with a character lost', ARGON2.slice(0, -1)],
    ['argon2 with unused bits set', `${ARGON2.slice(0, -1)}d`],
    ['argon2 with 4 TiB of memory', ARGON2.replace('m=65536', 'm=4294967295')],
    ['argon2 with less memory than it may have', ARGON2.replace('m=65536', 'm=7')],
    ['argon2 with a million passes', ARGON2.replace('t=2', 't=1000000')],
    ['argon2 without passes', ARGON2.replace('t=2', 't=0')],
    ['argon2 of a future version', ARGON2.replace('v=19', 'v=20')],
    ['argon2 with padding', `${ARGON2}=`],
    ['argon2 with a line feed', `${ARGON2}\n`],
    ['scrypt of a terabyte', SCRYPT.replace('ln=14', 'ln=30')],
    ['scrypt without rounds', SCRYPT.replace('ln=14', 'ln=0')],
    ['scrypt with a short hash', SCRYPT.slice(0, SCRYPT.lastIndexOf('$') + 11)],
    ['PBKDF2', '$pbkdf2-sha256$i=600000$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc'],
    ['a megabyte', '$'.repeat(1_000_000)],
  ])('%s', (_name, text) => {
    expect(parseStored(text)).toBeUndefined()
  })

  test('no text makes it throw, and no change of one character changes what it would cost by much', () => {
    const mutant = fc
      .tuple(fc.constantFrom(ARGON2, BCRYPT, SCRYPT), fc.nat(), fc.string({ maxLength: 3 }))
      .map(([text, at, piece]) => text.slice(0, at % text.length) + piece + text.slice((at % text.length) + 1))
    fc.assert(
      fc.property(fc.oneof(fc.string(), mutant), text => {
        const stored = parseStored(text)
        if (stored?.kind === 'argon2') return stored.memoryKiB <= 1_048_576 && stored.passes <= 64
        if (stored?.kind === 'scrypt') return 128 * 2 ** stored.logN * stored.blockSize <= 2 ** 30
        return stored === undefined || stored.cost <= 18
      }),
      { numRuns: 20_000 },
    )
  })
})
