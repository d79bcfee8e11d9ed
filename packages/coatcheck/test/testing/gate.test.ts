import { describe, expect, test } from 'vitest'
import { memoryStore } from '../../src/stores/memory.ts'
import { type GatedCall, gatedStore, storeLaws } from '../../src/testing/index.ts'
import { later, nextVersion, preparedRecord, storedRecord } from '../../src/testing/records.ts'

const noPlant = 'nobody else can write into its map'

const settled = () => new Promise(resolve => setImmediate(resolve))

describe('a gate before a store', () => {
  test('lets everything through unchanged while nothing is planned, a synchronous read synchronously', async () => {
    const gate = gatedStore(memoryStore())
    const record = await storedRecord(gate.store)
    expect(gate.store.read(record.id)).toEqual(record)
    expect(gate.store.name).toBe('memory')
    expect(gate.store.developmentOnly).toBe(true)
    expect(gate.store.watch).toBeUndefined()
  })

  test('holds a call before it takes effect', async () => {
    const gate = gatedStore(memoryStore())
    const record = await storedRecord(gate.store)
    const held = gate.hold('replace')
    const save = gate.store.replace(nextVersion(record), later())
    expect((await held.arrived)[0]).toMatchObject({ id: record.id, version: 2 })
    expect(await gate.store.delete(record.id)).toBe(true)
    held.release()
    expect(await save).toBe('gone')
  })

  test('holds an answer after the call took effect', async () => {
    const gate = gatedStore(memoryStore())
    const record = await storedRecord(gate.store)
    const held = gate.hold('replace', 'after')
    let answered = false
    const save = gate.store.replace(nextVersion(record), later()).finally(() => {
      answered = true
    })
    await held.arrived
    await settled()
    expect(answered).toBe(false)
    expect(gate.store.read(record.id)).toMatchObject({ version: 2 })
    held.release()
    expect(await save).toBe('saved')
  })

  test('fails a call before it takes effect, or loses its answer after', async () => {
    const gate = gatedStore(memoryStore())
    const [a, b] = [await preparedRecord(gate.store), await preparedRecord(gate.store)]
    gate.failNext('create', 'before', new Error('never sent'))
    gate.failNext('create', 'after', new Error('answer lost'))
    await expect(gate.store.create(a, later())).rejects.toThrow('never sent')
    expect(await gate.store.read(a.id)).toBeUndefined()
    await expect(gate.store.create(b, later())).rejects.toThrow('answer lost')
    expect(await gate.store.read(b.id)).toEqual(b)
    expect(await gate.store.create(a, later())).toBe('created')
  })

  test('holds only the calls that match, one for each hold, in order', async () => {
    const gate = gatedStore(memoryStore())
    const [a, b] = [await storedRecord(gate.store), await storedRecord(gate.store)]
    const first = gate.hold('read', 'before', ([id]) => id === b.id)
    const second = gate.hold('read')
    const held = gate.store.read(b.id)
    await first.arrived
    const alsoHeld = gate.store.read(a.id)
    await second.arrived
    expect(await gate.store.read(a.id)).toEqual(a)
    second.release()
    expect(await alsoHeld).toEqual(a)
    first.fail(new Error('cut'))
    await expect(held).rejects.toThrow('cut')
  })

  test('counts calls by method', async () => {
    const gate = gatedStore(memoryStore())
    const record = await storedRecord(gate.store)
    await gate.store.read(record.id)
    await gate.store.read(record.id)
    expect(gate.calls).toMatchObject({ marks: 1, create: 1, read: 2, replace: 0 })
    gate.reset()
    expect(gate.calls).toMatchObject({ marks: 0, create: 0, read: 0 })
  })

  test('lets a hook see, delay or fail both moments of every call', async () => {
    const gate = gatedStore(memoryStore())
    const seen: string[] = []
    gate.onCall(async ({ method, moment }: GatedCall) => {
      await settled()
      seen.push(`${moment} ${method}`)
      if (method === 'touch') throw new Error('no touching')
    })
    await gate.store.marks(null)
    await expect(gate.store.touch('x', 1, 1)).rejects.toThrow('no touching')
    expect(seen).toEqual(['before marks', 'after marks', 'before touch'])
    gate.onCall(undefined)
    await gate.store.touch('x', 1, 1)
  })

  test('releases what it holds, and forgets what was planned, at a reset', async () => {
    const gate = gatedStore(memoryStore())
    const held = gate.hold('marks')
    const marks = gate.store.marks(null)
    await held.arrived
    gate.failNext('delete', 'before', new Error('planned'))
    gate.reset()
    expect((await marks).userEpoch).toBe('')
    expect(await gate.store.delete('x')).toBe(false)
  })

  test('a hold that is released before anything came does not stop the next call', async () => {
    const gate = gatedStore(memoryStore())
    gate.hold('marks').release()
    expect((await gate.store.marks(null)).userEpoch).toBe('')
  })
})

describe('a store behind a gate keeps every law', () => {
  const open = () => {
    const { store } = gatedStore(memoryStore())
    return { store, second: () => store, close() {} }
  }
  for (const law of storeLaws({ open, noPlant })) test(law.name, law.run)
})
