import { describe, expect, test } from 'vitest'
import { parseStored, type StoredPassword } from '../../src/passwords/stored.ts'
import { DEFAULT_COST, isApproved, isApprovedCost, isWeaker } from '../../src/passwords/strength.ts'

const SALT = 'c29tZXNhbHRzb21lc2FsdA'
const HASH = 'CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc'
const bcryptOf = (cost: string) => stored(`$2b$${cost}$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW`)
const argon2Of = (parameters: string, variant = 'argon2id', version = 'v=19$') =>
  stored(`$${variant}$${version}${parameters}$${SALT}$${HASH}`)
const scryptOf = (parameters: string) => stored(`$scrypt$${parameters}$${SALT}$${HASH}`)

function stored(text: string): StoredPassword {
  const parsed = parseStored(text)
  if (parsed === undefined) throw new Error(`not a stored password: ${text}`)
  return parsed
}

describe('ASVS 11.4.2: what Appendix C approves', () => {
  test.each([
    ['argon2id t=1 m=46 MiB', argon2Of('m=47104,t=1,p=1'), true],
    ['argon2id t=1, a KiB less', argon2Of('m=47103,t=1,p=1'), false],
    ['argon2id t=2 m=19 MiB', argon2Of('m=19456,t=2,p=1'), true],
    ['argon2id t=2, a KiB less', argon2Of('m=19455,t=2,p=1'), false],
    ['argon2id t=3 m=12 MiB', argon2Of('m=12288,t=3,p=1'), true],
    ['argon2id t=5, a KiB less than for three', argon2Of('m=12287,t=5,p=1'), false],
    ['argon2i', argon2Of('m=65536,t=3,p=1', 'argon2i'), false],
    ['argon2id of the first version', argon2Of('m=65536,t=3,p=1', 'argon2id', ''), false],
    ['scrypt N=2^17 p=1', scryptOf('ln=17,r=8,p=1'), true],
    ['scrypt N=2^16 p=1', scryptOf('ln=16,r=8,p=1'), false],
    ['scrypt N=2^16 p=2', scryptOf('ln=16,r=8,p=2'), true],
    ['scrypt N=2^15 p=2', scryptOf('ln=15,r=8,p=2'), false],
    ['scrypt N=2^15 p=3', scryptOf('ln=15,r=8,p=3'), true],
    ['scrypt N=2^17 with small blocks', scryptOf('ln=17,r=4,p=1'), false],
    ['bcrypt of cost 10', bcryptOf('10'), true],
    ['bcrypt of cost 9', bcryptOf('09'), false],
  ])('%s: %#', (_name, parsed, approved) => {
    expect(isApproved(parsed)).toBe(approved)
  })

  test('the default is among them', () => {
    expect(isApprovedCost(DEFAULT_COST)).toBe(true)
  })
})

describe('what is hashed anew at the next login', () => {
  const strong = { memoryKiB: 65_536, passes: 3 }

  test.each([
    ["today's own", argon2Of('m=19456,t=2,p=1'), DEFAULT_COST, false],
    ['stronger than today', argon2Of('m=65536,t=3,p=1'), DEFAULT_COST, false],
    ['approved and as costly, in other proportions', argon2Of('m=47104,t=1,p=1'), DEFAULT_COST, false],
    ['approved, but less than today asks', argon2Of('m=19456,t=2,p=1'), strong, true],
    ['below Appendix C', argon2Of('m=4096,t=3,p=1'), DEFAULT_COST, true],
    ['as costly as today, but below Appendix C', argon2Of('m=8192,t=16,p=1'), DEFAULT_COST, true],
    ['argon2i', argon2Of('m=65536,t=3,p=1', 'argon2i'), DEFAULT_COST, true],
    ['argon2id of the first version', argon2Of('m=65536,t=3,p=1', 'argon2id', ''), DEFAULT_COST, true],
    ['a salt of 8 bytes', stored(`$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$${HASH}`), DEFAULT_COST, true],
    ['bcrypt, however costly', bcryptOf('14'), DEFAULT_COST, true],
    ['scrypt, however costly', scryptOf('ln=17,r=8,p=1'), DEFAULT_COST, true],
  ])('%s', (_name, parsed, today, weaker) => {
    expect(isWeaker(parsed, today)).toBe(weaker)
  })

  test('two settings that run side by side never rehash each other in turn', () => {
    const settings = [
      DEFAULT_COST,
      { memoryKiB: 47_104, passes: 1 },
      { memoryKiB: 12_288, passes: 3 },
      strong,
      { memoryKiB: 8, passes: 1 },
    ]
    for (const a of settings) {
      for (const b of settings) {
        const ofA = argon2Of(`m=${a.memoryKiB},t=${a.passes},p=1`)
        const ofB = argon2Of(`m=${b.memoryKiB},t=${b.passes},p=1`)
        expect(isWeaker(ofA, b) && isWeaker(ofB, a)).toBe(false)
      }
    }
  })
})
