import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Counter, type Taken } from '../../src/throttle/counter.ts'
import { backends } from '../support/backends.ts'
import { type Address, type Opened, open } from '../support/connect.ts'

// What cannot be had here is named in the run's summary.
const had = backends.filter(({ missing }) => missing === undefined)

describe.each(had)('tries counted in $name', ({ shared, address, cleanUp }) => {
  let where: Address
  let one: Opened
  let two: Opened

  beforeAll(async () => {
    where = address()
    one = await open(where)
    two = await open(where)
    // At the same moment, as two processes that start together would.
    await Promise.all([one.limiter.prepare?.(), two.limiter.prepare?.()])
  })
  afterAll(async () => {
    await Promise.all([one?.close(), two?.close()])
    cleanUp()
  })

  const counter = (opened: Opened, tries: number, seconds: number) => new Counter(opened.limiter, 'test', { tries, seconds })

  test('of a thousand parallel tries at a limit of ten, ten are taken, and the tenth knows that it is the last', async () => {
    const key = randomUUID()
    const [a, b] = [counter(one, 10, 60), counter(shared ? two : one, 10, 60)]
    const second = shared ? b : a
    const outcomes = await Promise.all(Array.from({ length: 1000 }, (_, i) => (i % 2 === 0 ? a : second).take(key)))
    const taken = outcomes.filter((outcome): outcome is Taken => outcome.taken)
    expect(taken).toHaveLength(10)
    expect(taken.filter(({ last }) => last)).toHaveLength(1)
    for (const outcome of outcomes) if (!outcome.taken) expect(outcome.waitMs).toBeLessThanOrEqual(60_000)
  })

  test('a refusal says when the window ends, and then the key is free', async () => {
    const key = randomUUID()
    const brief = counter(one, 1, 1)
    await brief.take(key)
    const refused = await brief.take(key)
    expect(refused).toMatchObject({ taken: false })
    const waitMs = refused.taken ? 0 : refused.waitMs
    expect(waitMs).toBeGreaterThan(0)
    expect(waitMs).toBeLessThanOrEqual(1000)
    await sleep(waitMs + 30)
    expect(await brief.take(key)).toMatchObject({ taken: true })
  })

  test('a refused try does not move the end of the window', async () => {
    const key = randomUUID()
    const brief = counter(one, 1, 1)
    await brief.take(key)
    await sleep(600)
    const refused = await brief.take(key)
    expect(refused.taken ? Number.NaN : refused.waitMs).toBeLessThanOrEqual(450)
  })

  test('a try given back is free again, once', async () => {
    const key = randomUUID()
    const two = counter(one, 2, 60)
    const first = await two.take(key)
    await two.take(key)
    expect(await two.take(key)).toMatchObject({ taken: false })
    if (first.taken) await two.giveBack(key, first)
    // The refused one stays counted in its window: three taken, one given back.
    expect(await two.take(key)).toMatchObject({ taken: false })
    await two.clear(key)
    const again = await two.take(key)
    expect(again).toMatchObject({ taken: true, last: false })
    if (again.taken) await two.giveBack(key, again)
    expect(await two.take(key)).toMatchObject({ taken: true, last: false })
    expect(await two.take(key)).toMatchObject({ taken: true, last: true })
    expect(await two.take(key)).toMatchObject({ taken: false })
  })

  test('a try given back after its window gives the next one no credit', async () => {
    const key = randomUUID()
    const brief = counter(one, 2, 2)
    const taken = await brief.take(key)
    await sleep(2050)
    if (taken.taken) await brief.giveBack(key, taken)
    const outcomes = [await brief.take(key), await brief.take(key), await brief.take(key)]
    expect(outcomes.map(outcome => outcome.taken)).toEqual([true, true, false])
  })

  test('keys and limits are counted apart', async () => {
    const [key, other] = [randomUUID(), randomUUID()]
    const [ofMinute, ofHour] = [counter(one, 1, 60), counter(one, 1, 3600)]
    expect(await ofMinute.take(key)).toMatchObject({ taken: true })
    expect(await ofMinute.take(other)).toMatchObject({ taken: true })
    expect(await ofHour.take(key)).toMatchObject({ taken: true })
    expect(await ofMinute.take(key)).toMatchObject({ taken: false })
  })

  if (!shared) return

  test('of many that start at the same moment each becomes ready', async () => {
    // In many rounds, because a race is not lost in each.
    for (let round = 0; round < 10; round++) {
      const where = address()
      const many = await Promise.all(Array.from({ length: 8 }, () => open(where)))
      const ready = await Promise.allSettled(many.map(({ limiter }) => limiter.prepare?.()))
      await Promise.all(many.map(({ close }) => close()))
      expect(ready.filter(({ status }) => status === 'rejected')).toEqual([])
    }
  })

  test('a second connection sees what the first has counted', async () => {
    const key = randomUUID()
    await counter(one, 1, 60).take(key)
    expect(await counter(two, 1, 60).take(key)).toMatchObject({ taken: false })
    await counter(two, 1, 60).clear(key)
    expect(await counter(one, 1, 60).take(key)).toMatchObject({ taken: true })
  })
})
