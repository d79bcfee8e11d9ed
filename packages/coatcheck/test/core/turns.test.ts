import { expect, test } from 'vitest'
import { Turns } from '../../src/core/turns.ts'
import { codeOf } from './world.ts'

const open = (limits = { most: 3, longestMs: 60_000 }) => new Turns<{ seen: string[] }>(limits, () => ({ seen: [] }))

/** A task that is at work until it is let go. */
function held() {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { task: () => promise, letGo: resolve }
}

test('tasks of one key are performed one at a time, in their order, and leave something to each other', async () => {
  const turns = open()
  const first = held()
  const order: string[] = []
  const note = (name: string) => async (shared: { seen: string[] }) => {
    order.push(`${name} after ${shared.seen.join()}`)
    shared.seen.push(name)
  }
  const all = [turns.take('a', first.task), turns.take('a', note('one')), turns.take('a', note('two'))]
  await turns.take('b', note('other'))
  expect(order).toEqual(['other after '])
  first.letGo()
  await Promise.all(all)
  expect(order).toEqual(['other after ', 'one after ', 'two after one'])
  await turns.take('a', note('late'))
  expect(order.at(-1)).toBe('late after ')
})

test('a task that fails is told to its own caller, and the next has its turn', async () => {
  const turns = open()
  const failing = turns.take('a', () => Promise.reject(new Error('broken')))
  const next = turns.take('a', async () => 'done')
  await expect(failing).rejects.toThrow('broken')
  expect(await next).toBe('done')
})

test('law 11: beyond the most that may wait the next is refused at once, and those who wait are not', async () => {
  const turns = open()
  const first = held()
  const all = Array.from({ length: 4 }, (_, i) => turns.take('a', i === 0 ? first.task : async () => {}))
  expect(await codeOf(() => turns.take('a', async () => {}))).toBe('SESSION_CONFLICT')
  first.letGo()
  await Promise.all(all)
})

test('law 11: who waited too long is refused, is never performed, and keeps nobody from their turn', async () => {
  const turns = open({ most: 3, longestMs: 50 })
  const first = held()
  let performed = 0
  const working = turns.take('a', first.task)
  const waiting = codeOf(() => turns.take('a', async () => performed++))
  expect(await waiting).toBe('SESSION_CONFLICT')
  const next = turns.take('a', async () => 'done')
  first.letGo()
  await working
  expect(await next).toBe('done')
  expect(performed).toBe(0)
})
