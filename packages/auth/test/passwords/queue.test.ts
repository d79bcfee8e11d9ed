import { describe, expect, test } from 'vitest'
import { fittingConcurrency, HashQueue } from '../../src/passwords/queue.ts'

/** Work that ends when it is told to. */
function held() {
  const gate = Promise.withResolvers<void>()
  return { work: () => gate.promise, end: gate.resolve, fail: gate.reject }
}

describe('the hashing queue', () => {
  test('no more than its limit runs at once, and the rest goes in the order it came', async () => {
    const queue = new HashQueue({ inHand: 2, longest: 10 })
    const tasks = Array.from({ length: 5 }, held)
    const done: number[] = []
    const runs = tasks.map((task, i) => queue.run('stranger', task.work).then(() => done.push(i)))
    expect(queue.load).toEqual({ running: 2, waiting: 3 })
    for (const task of tasks) {
      task.end()
      await new Promise(resolve => setImmediate(resolve))
      expect(queue.load.running).toBeLessThanOrEqual(2)
    }
    await Promise.all(runs)
    expect(done).toEqual([0, 1, 2, 3, 4])
    expect(queue.load).toEqual({ running: 0, waiting: 0 })
  })

  test('one beyond its length is refused at once, with a time to come back', async () => {
    const queue = new HashQueue({ inHand: 1, longest: 2 })
    const tasks = Array.from({ length: 3 }, held)
    const runs = tasks.map(task => queue.run('stranger', task.work))
    const refused = queue.run('stranger', async () => {})
    await expect(refused).rejects.toMatchObject({ code: 'HASHING_OVERLOADED', status: 503, retryAfter: 1 })
    for (const task of tasks) task.end()
    await Promise.all(runs)
    await expect(queue.run('stranger', async () => 'again')).resolves.toBe('again')
  })

  test('the time to come back grows with the queue and with the time that a hash takes', async () => {
    const queue = new HashQueue({ inHand: 1, longest: 40 })
    for (let i = 0; i < 15; i++) await queue.run('stranger', () => new Promise(resolve => setTimeout(resolve, 150)))
    const tasks = Array.from({ length: 41 }, held)
    const runs = tasks.map(task => queue.run('stranger', task.work))
    const error = await queue.run('stranger', async () => {}).catch((reason: { retryAfter: number }) => reason)
    expect(error?.retryAfter).toBeGreaterThanOrEqual(4)
    expect(error?.retryAfter).toBeLessThanOrEqual(8)
    for (const task of tasks) task.end()
    await Promise.all(runs)
  })

  test('people whom we know go before strangers, and find room where strangers find none', async () => {
    const queue = new HashQueue({ inHand: 1, longest: 3 })
    const first = held()
    const done: string[] = []
    const runs = [queue.run('stranger', first.work)]
    for (let i = 0; i < 3; i++) runs.push(queue.run('stranger', async () => void done.push(`stranger ${i}`)))
    await expect(queue.run('stranger', async () => {})).rejects.toMatchObject({ code: 'HASHING_OVERLOADED' })
    for (let i = 0; i < 3; i++) runs.push(queue.run({ known: 'ann' }, async () => void done.push(`known ${i}`)))
    await expect(queue.run({ known: 'ann' }, async () => {})).rejects.toMatchObject({ code: 'HASHING_OVERLOADED' })
    first.end()
    await Promise.all(runs)
    expect(done).toEqual(['known 0', 'known 1', 'known 2', 'stranger 0', 'stranger 1', 'stranger 2'])
  })

  test('of people whom we know each has a turn in turn, and room where one of them has filled it', async () => {
    const queue = new HashQueue({ inHand: 1, longest: 4 })
    const first = held()
    const done: string[] = []
    const running = queue.run({ known: 'mallory' }, first.work)
    const add = (known: string, name: string) =>
      queue
        .run({ known }, async () => void done.push(name))
        .catch((error: { code: string }) => void done.push(`${name} ${error.code}`))
    const runs = [0, 1, 2, 3].map(i => add('mallory', `mallory ${i}`))
    runs.push(add('ann', 'ann 0'), add('bob', 'bob 0'), add('bob', 'bob 1'), add('mallory', 'mallory 4'))
    expect(queue.load).toEqual({ running: 1, waiting: 4 })
    first.end()
    await Promise.all([running, ...runs])
    const refused = ['bob 1', 'mallory 2', 'mallory 3', 'mallory 4']
    expect(done.filter(name => name.endsWith('OVERLOADED')).sort()).toEqual(refused.map(name => `${name} HASHING_OVERLOADED`))
    expect(done.filter(name => !name.endsWith('OVERLOADED'))).toEqual(['mallory 0', 'ann 0', 'bob 0', 'mallory 1'])
    expect(queue.load).toEqual({ running: 0, waiting: 0 })
  })

  test('however many whom we know keep coming, every fourth is a stranger', async () => {
    const queue = new HashQueue({ inHand: 1, longest: 20 })
    const first = held()
    const done: string[] = []
    const runs = [queue.run('stranger', first.work)]
    for (let i = 0; i < 8; i++) runs.push(queue.run({ known: `${i}` }, async () => void done.push('known')))
    for (let i = 0; i < 3; i++) runs.push(queue.run('stranger', async () => void done.push('stranger')))
    first.end()
    await Promise.all(runs)
    const four = ['known', 'known', 'known', 'stranger']
    expect(done).toEqual([...four, ...four, 'known', 'known', 'stranger'])
  })

  test('work that fails gives its place on', async () => {
    const queue = new HashQueue({ inHand: 1, longest: 2 })
    const failing = queue.run('stranger', () => Promise.reject(new Error('broken')))
    const next = queue.run('stranger', async () => 'fine')
    await expect(failing).rejects.toThrow('broken')
    await expect(next).resolves.toBe('fine')
  })

  test.each([
    [1, 1],
    [2, 1],
    [4, 3],
    [64, 63],
  ])('%i cores: %i at once', (cores, expected) => {
    expect(fittingConcurrency(cores)).toBe(expected)
  })
})
