import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { isLong } from '../../../../test/long.ts'
import { EPOCH_KEPT_MS } from '../../src/core/store.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { storeLaws } from '../../src/testing/index.ts'
import { later, preparedRecord, sampleRecord, storedRecord } from '../../src/testing/records.ts'

function openSpace() {
  const store = memoryStore()
  return { store, second: () => store, close() {} }
}

/** A clock that stands until it is set. */
function handClock(start = 1_700_000_000_000) {
  let time = start
  return {
    now: () => time,
    advance(ms: number) {
      time += ms
    },
  }
}

test('law 11: the marks of revoked people are forgotten by a prune too, where nobody signs in', async () => {
  let now = Date.now()
  const store = memoryStore({ clock: { now: () => now } })
  await store.revokeUser('ann')
  await store.prune?.(now, 100)
  expect((await store.marks('ann')).userEpoch).not.toBe('')
  now += 600_001
  await store.prune?.(now, 100)
  expect((await store.marks('ann')).userEpoch).toBe('')
})

describe('the memory store', () => {
  for (const law of storeLaws({ open: openSpace, noPlant: 'nobody else can write into its map' })) test(law.name, law.run)

  test('is for development only', () => {
    expect(memoryStore().developmentOnly).toBe(true)
  })

  test('reads synchronously', async () => {
    const store = memoryStore()
    const record = await storedRecord(store)
    expect(store.read(record.id)).toEqual(record)
    expect(store.read('missing')).toBeUndefined()
  })

  test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '10'])('refuses max: %s', max => {
    expect(() => Reflect.apply(memoryStore, undefined, [{ max }])).toThrow(expect.objectContaining({ code: 'BAD_OPTION' }))
  })

  test('law 11: never keeps more than max, drops what would be forgotten soonest, and says so once', async () => {
    const warned = once(process, 'warning')
    const store = memoryStore({ max: 5 })
    const now = Date.now()
    const records = []
    for (const minutes of [50, 20, 40, 10, 30])
      records.push(await storedRecord(store, { userId: 'alice' }, now + minutes * 60_000))
    for (let i = 0; i < 3; i++) await storedRecord(store, { userId: 'bob' }, now + 3_600_000)
    expect((await store.scan(null, 100)).records).toHaveLength(5)
    const kept = records.filter(({ id }) => store.read(id) !== undefined)
    expect(kept).toEqual([records[0], records[2]])
    expect((await store.listByUser('alice', 10)).map(({ id }) => id).sort()).toEqual(kept.map(({ id }) => id).sort())
    const [warning] = await warned
    expect(warning.message).toMatch(/memoryStore is full \(5 sessions\)/)
  })

  test('law 11: what may be forgotten makes room before anything living does', async () => {
    const clock = handClock()
    const store = memoryStore({ max: 4, clock })
    const { generation } = await store.marks(null)
    const [living, ...forgotten] = Array.from({ length: 4 }, () => sampleRecord({ generation }))
    await store.create(living!, clock.now() + 5000)
    for (const record of forgotten) await store.create(record, clock.now() + 9)
    clock.advance(10)
    for (let i = 0; i < 3; i++) await store.create(sampleRecord({ generation }), clock.now() + 9000)
    expect(store.read(living!.id)).toEqual(living)
    for (const { id } of forgotten) expect(store.read(id)).toBeUndefined()
  })

  test('keeps an epoch for ten minutes at least, and not for ever', async () => {
    const clock = handClock()
    const store = memoryStore({ clock })
    await store.revokeUser('alice')
    const overtaken = { ...(await preparedRecord(store, { userId: 'alice' })), userEpoch: '' }
    clock.advance(EPOCH_KEPT_MS)
    await storedRecord(store)
    expect(await store.create(overtaken, later())).toBe('refused')
    clock.advance(1)
    await storedRecord(store)
    expect((await store.marks('alice')).userEpoch).toBe('')
  })

  // The first is for warming up.
  const MILLIONS = isLong ? 4 : 2
  test('law 11: a million sessions made and expired leave no growth', { timeout: 120_000 }, async ({ signal }) => {
    const script = fileURLToPath(new URL('./million-sessions.ts', import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, [...stripTypes(), '--expose-gc', script, String(MILLIONS)], {
      signal,
    })
    const { made, heaps, alive } = JSON.parse(stdout) as { made: number; heaps: number[]; alive: number }
    expect(made).toBe(MILLIONS * 1_000_000)
    expect(alive).toBeLessThan(60_000)
    const [warm, ...further] = heaps as [number, ...number[]]
    const growth = (further.at(-1)! - warm) / further.length
    console.log(
      `memory store: heap after each million sessions: ${heaps.map(bytes => `${(bytes / 2 ** 20).toFixed(2)} MiB`).join(', ')}`,
    )
    expect(growth).toBeLessThan(2 ** 20)
  })
})

/** Node 22.13 to 22.17 run TypeScript only when they are told to. */
function stripTypes(): string[] {
  return process.features.typescript ? [] : ['--experimental-strip-types']
}
