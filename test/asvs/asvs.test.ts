import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type NamedTest, root, rowsOf } from './page.ts'
import { type Outcome, unproven } from './reporter.ts'

const rows = rowsOf()

/** What the page must speak of: all of V7, and those of the other chapters that concern a session library. */
const EXPECTED = `
  7.1.1 7.1.2 7.1.3 7.2.1 7.2.2 7.2.3 7.2.4 7.3.1 7.3.2 7.4.1 7.4.2 7.4.3 7.4.4 7.4.5 7.5.1 7.5.2 7.5.3 7.6.1 7.6.2
  3.3.1 3.3.2 3.3.3 3.3.4 3.3.5 3.4.2 3.5.1 3.5.2 3.5.3 3.5.8 3.7.2
  6.1.1 6.1.2 6.1.3 6.2.1 6.2.2 6.2.3 6.2.4 6.2.5 6.2.6 6.2.7 6.2.8 6.2.9 6.2.10 6.2.11 6.2.12
  6.3.1 6.3.2 6.3.3 6.3.4 6.3.5 6.3.7 6.3.8 6.4.1 6.4.2 6.4.3 6.4.6 11.4.2
  4.4.2 4.4.3 4.4.4 8.3.2 11.2.2 11.2.4 11.2.5 11.3.3 11.5.1 13.3.4 14.2.1 14.3.1 14.3.2 16.2.5 16.3.1 16.3.2 16.3.3 16.5.2 16.5.3
`
/** Nothing runs that could show them. */
const WITHOUT_TEST = ['6.2.10', '6.4.2', '11.2.4']

describe('docs/asvs.md', () => {
  test('has each requirement once', () => {
    expect(rows.map(({ number }) => number).sort()).toEqual(EXPECTED.trim().split(/\s+/).sort())
  })

  test.each(rows)('$number says who keeps it', ({ standing }) => {
    expect(['met', 'yours', 'later']).toContain(standing)
  })

  test.each(rows.filter(({ standing }) => standing === 'met'))(
    '$number is met, and names the test that shows it',
    ({ number, tests }) => {
      expect(tests.length > 0).toBe(!WITHOUT_TEST.includes(number))
    },
  )

  test.each(rows.filter(({ standing }) => standing === 'yours'))(
    '$number is the application’s, and says what we give it',
    ({ text }) => {
      expect(text.length).toBeGreaterThan(10)
    },
  )

  test.each(rows.flatMap(({ number, tests }) => tests.map(each => ({ number, ...each }))))(
    '$number: $file has "$words"',
    ({ file, words }) => {
      expect(existsSync(join(root, file))).toBe(true)
      // Names are written in sources as they are told, but for quotes that had to be escaped.
      expect(readFileSync(join(root, file), 'utf8').replaceAll("\\'", "'")).toContain(words)
    },
  )
})

describe('the reporter would notice', () => {
  const named: NamedTest[] = [{ file: 'a.test.ts', words: 'ASVS 1.2.3' }]
  const outcome = (file: string, name: string, state: string): Outcome => ({ file, name, state })

  test.each([
    ['that did not run', [outcome('b.test.ts', 'ASVS 1.2.3: x', 'passed')], 1],
    ['that was skipped', [outcome('a.test.ts', 'ASVS 1.2.3: x', 'skipped')], 1],
    [
      'that failed on one of its adapters',
      [outcome('a.test.ts', 'one > ASVS 1.2.3: x', 'passed'), outcome('a.test.ts', 'two > ASVS 1.2.3: x', 'failed')],
      1,
    ],
    ['that passed', [outcome('a.test.ts', 'one > ASVS 1.2.3: x', 'passed')], 0],
  ])('a named test %s', (_name, outcomes, count) => {
    expect(unproven(named, outcomes)).toHaveLength(count)
  })
})
