import { expect, test } from 'vitest'
import { readOptions } from '../src/options.ts'

const names = ({ subjects }: ReturnType<typeof readOptions>) => subjects.map(({ name }) => name)

test('a run of everything is written down, a part or a quick one only when asked to', () => {
  expect(readOptions([]).write).toBe(true)
  expect(readOptions(['--quick']).write).toBe(false)
  expect(readOptions(['--only', 'bytes']).write).toBe(false)
  expect(readOptions(['--only', 'bytes', '--write']).write).toBe(true)
  const suffixes = [[], ['--quick'], ['--only', 'bytes,logins']].map(args => readOptions(args).suffix)
  expect(suffixes).toEqual(['', '-quick', '-bytes-logins'])
})

test('--only takes subjects with their limit, and parts without any subject', () => {
  const near = readOptions(['--only', 'express-coatcheck-redis-near,logins'])
  expect(names(near)).toEqual(['express-limit', 'express-coatcheck-redis-near'])
  expect(near.parts).toEqual(['logins'])
  expect(names(readOptions(['--only', 'bytes']))).toEqual([])
})

test('a name that does not exist is refused with those that do', () => {
  expect(() => readOptions(['--only', 'express-nobody'])).toThrow(/express-nobody.*express-limit.*logins/)
})
