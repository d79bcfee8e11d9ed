import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { describe, expect, test } from 'vitest'
import { isTooLong, LONGEST_PASSWORD_BYTES, type PasswordPolicy, refuseNewPassword } from '../../src/passwords/policy.ts'

const policy: PasswordPolicy = { minLength: 8, contextWords: ['Coatcheck', 'cloakroom'], isBreached: undefined }
const problemWith = async (password: string, about: string[] = [], changed: Partial<PasswordPolicy> = {}) =>
  (await refuseNewPassword(password, about, { ...policy, ...changed }))?.problem

describe('what a new password must meet', () => {
  test.each([
    ['ASVS 6.2.1: seven characters', 'k7#pQz!', 'too-short'],
    ['ASVS 6.2.1: eight', 'k7#pQz!w', undefined],
    ['eight emoji are eight characters', '🦊🐢🦉🐝🦋🐙🦔🦀', undefined],
    ['seven are seven, whatever their bytes', '🦊🐢🦉🐝🦋🐙🦔', 'too-short'],
    ['ASVS 6.2.5: no digit, no upper case, no symbol', 'correct horse battery', undefined],
    ['ASVS 6.2.5: digits only', '7281940365', undefined],
    ['ASVS 6.2.5: spaces, quotes, control characters', 'it\'s "fine"\ttoo', undefined],
    ['ASVS 6.2.9: 64 characters', 'Zq'.repeat(32), undefined],
    ['4096 characters', 'Zq'.repeat(2048), undefined],
    ['4096 characters of four bytes each', '🦊🐢'.repeat(2048), undefined],
    ['one byte more than is taken', 'x'.repeat(LONGEST_PASSWORD_BYTES + 1), 'too-long'],
    ['a NUL', 'before\0after', undefined],
    ['half a character', 'password of \ud800', 'malformed'],
    ['ASVS 6.2.4: a common one', 'password', 'common'],
    ['ASVS 6.2.4: in upper case', 'PASSWORD1', 'common'],
    ['ASVS 6.2.4: in full-width letters', 'ｐａｓｓｗｏｒｄ', 'common'],
    ['ASVS 6.2.11: our name and a year', 'Coatcheck2026', 'guessable'],
    ['ASVS 6.2.11: our name, twice', 'coatcheckCOATCHECK', 'guessable'],
    ['our name in a long sentence', 'my coatcheck ticket is lost again', undefined],
  ])('%s', async (_name, password, problem) => {
    expect(await problemWith(password)).toBe(problem)
  })

  test.each([
    ['jane.doe@example.org', 'the address itself'],
    ['JaneDoe123', 'name and digits'],
    ['doe-jane-doe', 'parts of it'],
  ])('ASVS 6.2.11: %s (%s)', async password => {
    expect(await problemWith(password, ['jane.doe@example.org', 'Jane Doe'])).toBe('guessable')
  })

  test('words that the person has too are no reason against a password with enough beside them', async () => {
    expect(await problemWith('jane likes purple cows', ['jane.doe@example.org'])).toBeUndefined()
  })

  test('a word of two letters is part of too many others', async () => {
    expect(await problemWith('bobobobobobo', ['bo'])).toBeUndefined()
  })
})

test('ASVS 6.2.4: the 3000 most common passwords of eight characters or more are refused', async () => {
  const source = createRequire(import.meta.url).resolve('@zxcvbn-ts/language-common/package.json')
  const byFrequency = JSON.parse(readFileSync(source.replace('package.json', 'src/passwords.json'), 'utf8')) as string[]
  const top = byFrequency.filter(password => password.length >= 8).slice(0, 3000)
  expect(top).toHaveLength(3000)
  const taken: string[] = []
  for (const password of top) if ((await problemWith(password)) !== 'common') taken.push(password)
  expect(taken).toEqual([])
})

describe('ASVS 6.2.12: the list of breached passwords', () => {
  test('is asked last, and its yes refuses', async () => {
    const asked: string[] = []
    const isBreached = async (password: string) => asked.push(password) > 0
    expect(await problemWith('k7#pQz!w', [], { isBreached })).toBe('breached')
    expect(await problemWith('short', [], { isBreached })).toBe('too-short')
    expect(asked).toEqual(['k7#pQz!w'])
  })

  test('that does not answer ends the change, and is not taken for a no', async () => {
    const isBreached = () => Promise.reject(new Error('no answer'))
    await expect(problemWith('k7#pQz!w', [], { isBreached })).rejects.toThrow('no answer')
  })
})

test('the bound is in bytes, and 16 KiB are within it', () => {
  expect(isTooLong('x'.repeat(LONGEST_PASSWORD_BYTES))).toBe(false)
  expect(isTooLong('é'.repeat(LONGEST_PASSWORD_BYTES / 2))).toBe(false)
  expect(isTooLong(`${'é'.repeat(LONGEST_PASSWORD_BYTES / 2)}x`)).toBe(true)
})
