import { expect, test } from 'vitest'
import { type Found, SharedReads } from '../../src/stores/shared-reads.ts'

/** In a callback of its own, as each connection's request is. */
const inItsTurn = <T>(act: () => Promise<T>) =>
  new Promise<T>((resolve, reject) => setTimeout(() => act().then(resolve, reject), 1))

function recorded(found: Found<string> = id => `value of ${id}`) {
  const asked: (readonly string[])[] = []
  const reads = new SharedReads<string>(async ids => {
    asked.push(ids)
    return found
  })
  return { asked, reads }
}

test('what is asked for in one turn of the event loop is asked together, each id once', async () => {
  const { asked, reads } = recorded()
  const said = await Promise.all(['a', 'b', 'a'].map(id => inItsTurn(() => reads.read(id))))
  expect(said).toEqual(['value of a', 'value of b', 'value of a'])
  expect(asked).toEqual([['a', 'b']])
})

test('what is asked for after the others were sent is not answered by what they find', async () => {
  const sent: (() => void)[] = []
  let value = 'old'
  const reads = new SharedReads<string>(() => {
    const seen = value
    return new Promise(resolve => sent.push(() => resolve(() => seen)))
  })
  const early = reads.read('a')
  await expect.poll(() => sent.length).toBe(1)
  value = 'new'
  const late = reads.read('a')
  await expect.poll(() => sent.length).toBe(2)
  for (const answer of sent.reverse()) answer()
  expect(await Promise.all([early, late])).toEqual(['old', 'new'])
})

test('law 11: a hundred go at once, and more make no longer list', async () => {
  const { asked, reads } = recorded()
  const said = await Promise.all(Array.from({ length: 250 }, (_, i) => reads.read(`id ${i}`)))
  expect(said.at(-1)).toBe('value of id 249')
  expect(asked.map(ids => ids.length)).toEqual([100, 100, 50])
})

test("law 6: one id's failure is its readers' alone; where all fail, each hears of it", async () => {
  const failures: Record<string, () => string> = {
    thrown: () => {
      throw new Error('foreign')
    },
  }
  const { reads } = recorded(id => (id === 'late' ? Promise.reject(new Error('node down')) : (failures[id] ?? (() => id))()))
  const outcomes = await Promise.allSettled(['fine', 'thrown', 'late', 'late'].map(id => reads.read(id)))
  expect(outcomes).toMatchObject([
    { value: 'fine' },
    { reason: { message: 'foreign' } },
    { reason: { message: 'node down' } },
    { reason: { message: 'node down' } },
  ])
  const away = new SharedReads<string>(() => Promise.reject(new Error('away')))
  const both = await Promise.allSettled([away.read('a'), away.read('b')])
  expect(both).toMatchObject([{ reason: { message: 'away' } }, { reason: { message: 'away' } }])
})
