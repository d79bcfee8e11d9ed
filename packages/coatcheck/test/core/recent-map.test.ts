import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RecentMap } from '../../src/core/recent-map.ts'

describe('law 11: the map of what was asked for lately', () => {
  test('law 11: keeps what is asked for, never more than its bound', () => {
    const map = new RecentMap<{ n: number }>(100)
    map.set('kept', { n: -1 })
    let known = 0
    for (let n = 0; n < 1000; n++) {
      map.set(`key${n}`, { n })
      expect(map.get('kept')).toEqual({ n: -1 })
    }
    for (let n = 0; n < 1000; n++) if (map.get(`key${n}`)?.n === n) known++
    expect(known).toBeGreaterThan(0)
    expect(known).toBeLessThanOrEqual(100)
  })

  const act = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('set'), key: fc.nat(20), size: fc.nat(60) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('get'), key: fc.nat(20) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('delete'), key: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('clear') }) },
  )

  test('law 11: gives what was last set or nothing, and never keeps more entries or more weight than it may', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.array(act, { maxLength: 200 }), (max, acts) => {
        const map = new RecentMap<{ size: number }>(max, { most: 100, of: ({ size }) => size })
        const last = new Map<string, { size: number }>()
        for (const act of acts) {
          const key = 'key' in act ? String(act.key) : ''
          if ('size' in act) {
            const value = { size: act.size }
            map.set(key, value)
            last.delete(key)
            last.set(key, value)
          } else if (act.do === 'clear') {
            map.clear()
            last.clear()
          } else if (act.do === 'delete') {
            map.delete(key)
            last.delete(key)
          } else expect([undefined, last.get(key)]).toContain(map.get(key))
        }
        // The younger half first, which does not move when it is asked for.
        const kept = [...last.keys()].reverse().flatMap(key => map.get(key) ?? [])
        expect(kept.length).toBeLessThanOrEqual(max)
        expect(kept.reduce((sum, { size }) => sum + size, 0)).toBeLessThanOrEqual(100)
      }),
      { numRuns: 500 },
    )
  })

  test('law 11: one that weighs too much for it is not kept, and takes the place of none', () => {
    const map = new RecentMap<{ size: number }>(10, { most: 100, of: ({ size }) => size })
    map.set('small', { size: 10 })
    map.set('large', { size: 51 })
    expect([map.get('small'), map.get('large')]).toEqual([{ size: 10 }, undefined])
    map.set('small', { size: 51 })
    expect(map.get('small')).toBeUndefined()
  })
})
