import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Change, mergeData, onlyChanges, type Plan, planCommit } from '../../src/core/commit.ts'

describe('what a request has to write', () => {
  const rows: [
    Change['standing'],
    Change['before'],
    Change['after'],
    Partial<Change>,
    Plan | 'SESSION_SUPERSEDED' | 'IDENTITY_CHANGED',
  ][] = [
    ['none', null, null, { changed: false }, 'nothing'],
    ['none', null, null, {}, 'birth'],
    ['none', null, 'ann', {}, 'birth'],
    ['live', null, null, { changed: false }, 'nothing'],
    ['live', 'ann', 'ann', { changed: false }, 'nothing'],
    ['live', null, null, {}, 'save'],
    ['live', null, null, { privilegeChanged: true }, 'save'],
    ['live', null, 'ann', {}, 'promote'],
    ['live', 'ann', 'ann', {}, 'save'],
    ['live', 'ann', 'ann', { privilegeChanged: true }, 'rotate'],
    ['live', 'ann', null, {}, 'end'],
    ['live', 'ann', 'bob', {}, 'IDENTITY_CHANGED'],
    ['superseded', null, null, { changed: false }, 'nothing'],
    ['superseded', null, null, {}, 'SESSION_SUPERSEDED'],
    ['superseded', null, 'ann', {}, 'birth'],
    ['superseded', 'ann', 'ann', {}, 'SESSION_SUPERSEDED'],
    ['superseded', 'ann', 'bob', {}, 'SESSION_SUPERSEDED'],
    ['gone', null, 'ann', {}, 'drop'],
    ['gone', null, null, { changed: false }, 'nothing'],
  ]

  test.each(rows)('%s, %s → %s %j: %s', (standing, before, after, rest, expected) => {
    const change = { standing, before, after, changed: true, privilegeChanged: false, ...rest }
    expect(planOf(change)).toBe(expected)
  })

  function planOf(change: Change): string {
    try {
      return planCommit(change)
    } catch (error) {
      return (error as { code: string }).code
    }
  }
})

describe('merging a request into what others saved', () => {
  const bag = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.jsonValue(), { noNullPrototype: true })

  test('keys that the request did not change are those of the store; those that it changed or deleted are its own', () => {
    fc.assert(
      fc.property(bag, bag, bag, (before, after, fresh) => {
        const texts = [before, after, fresh].map(one => JSON.stringify(one)) as [string, string, string]
        const [old, wanted, stored, merged] = [...texts, mergeData(...texts)].map(text => JSON.parse(text)) as Record<
          string,
          unknown
        >[]
        for (const key of ['a', 'b', 'c', 'd']) {
          const untouched = JSON.stringify(old?.[key]) === JSON.stringify(wanted?.[key])
          expect(merged?.[key]).toEqual((untouched ? stored : wanted)?.[key])
        }
      }),
    )
  })

  test('a fresh session gets only what the request itself set', () => {
    expect(onlyChanges('{"a":1,"b":2}', '{"a":1,"b":3,"c":4}')).toBe('{"b":3,"c":4}')
    expect(onlyChanges('{}', '{"a":1}')).toBe('{"a":1}')
  })
})
