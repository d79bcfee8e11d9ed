import { expect, test } from 'vitest'
import { median, range, spread } from '../src/statistics.ts'

test('the median of an odd number is the middle one, of an even number the mean of the two', () => {
  expect(median([9, 1, 5])).toBe(5)
  expect(median([4, 1, 3, 2])).toBe(2.5)
})

test('the range is least and greatest', () => {
  expect(range([3, 1, 2])).toEqual([1, 3])
})

test('one outlier does not make a spread, half of the rounds do', () => {
  expect(spread([100, 100, 100, 100, 900])).toBe(0)
  expect(spread([100, 100, 200, 200, 200])).toBe(0.5)
})
