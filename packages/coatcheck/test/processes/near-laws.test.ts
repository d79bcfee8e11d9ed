import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { sample } from '../../../../test/long.ts'
import { type StoreKind, storeKinds, TestClock, type World } from '../core/world.ts'
import { type Process, TwoProcesses } from './two-processes.ts'

/**
 * The engine's laws, word for word as core/laws.test.ts has them, with a near cache in each of two processes. A near cache
 * holds laws 1, 2 and 4 as soon as it has heard (law 9); so each request waits for the news of what was done before it.
 */
const LEASE_MS = 20_000

const told = (await TwoProcesses.overEach()).filter(({ backend, missing }) => backend.tells && missing === undefined)
const found = sample('the engine laws with near caches', told, ['redis over redis', 'postgres'])

/** It counts the reads that a near cache spares; its touches are counted in near-cache.test.ts. */
const COUNTED = 'law 8: at most one store write in touchEvery for a session that is only read'

beforeEach(({ task: { fullTestName = '' }, skip }) => {
  if (fullTestName.endsWith(COUNTED)) skip('NOT RUN: it counts the reads that a near cache spares')
})

test('the skip does not outlive the law that it is made for', () => {
  expect(readFileSync(join(import.meta.dirname, '../core/laws.test.ts'), 'utf8')).toContain(COUNTED)
})

beforeAll(() => Promise.all(found.map(two => two.start())))
afterAll(() => Promise.all(found.map(two => two.end())))

function nearInTwoProcesses(two: TwoProcesses): StoreKind {
  return {
    name: `${two.name}, near in two processes`,
    open(options): World {
      // Real stores forget by the real time, so that a test must not begin in the past.
      const clock = new TestClock(Date.now())
      const engines = two.openEngines({ ...options, nearCache: { lease: LEASE_MS } }, clock.now)
      for (const process of [engines.here, engines.there]) hearFirst(process)
      return { clock, one: engines.one, two: engines.two, gate: engines.gate, close: () => engines.close() }
    },
  }
}

function hearFirst({ engine, catchUp }: Process): void {
  const open = engine.open.bind(engine)
  Object.assign(engine, {
    open: async (...args: Parameters<typeof open>) => {
      await catchUp()
      return open(...args)
    },
  })
}

storeKinds.splice(0, storeKinds.length, ...found.map(nearInTwoProcesses))
await import('../core/laws.test.ts')
