import { expect, test } from 'vitest'
import { latencyOf, median, quantile, range, spread } from '../src/statistics.ts'

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

test('a latency is the middle, the 99th of a hundred, and the greatest', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index)
  expect(latencyOf(hundred)).toEqual({ count: 100, p50: 51, p99: 100, max: 100 })
  expect(quantile([...hundred, ...hundred], 0.99)).toBe(100)
  expect(latencyOf([7])).toEqual({ count: 1, p50: 7, p99: 7, max: 7 })
})
