import { expect, test } from 'vitest'
import { ago, onDate, onDateAndTime } from '../src/times.ts'

const now = Date.parse('2026-11-24T10:52:00Z')
const MINUTE = 60_000

test.each([
  [0, 'in the last 5 minutes'],
  [-1000, 'in the last 5 minutes'],
  [5 * MINUTE - 1, 'in the last 5 minutes'],
  [5 * MINUTE, '5 minutes ago'],
  [119 * MINUTE, '1 hour ago'],
  [26 * 60 * MINUTE, 'yesterday'],
  [29 * 24 * 60 * MINUTE, '29 days ago'],
])('%i ms ago is %s', (passed, words) => {
  expect(ago(new Date(now - passed), now)).toBe(words)
})

test('a moment is told with its zone', () => {
  expect([onDateAndTime(new Date(now)), onDate(new Date(now))]).toEqual(['24 Nov 2026, 10:52 UTC', '24 Nov 2026'])
})
