import { afterAll, beforeAll } from 'vitest'
import { type StoreKind, storeKinds, TestClock, type World } from '../core/world.ts'
import { TwoProcesses } from './two-processes.ts'

/**
 * The engine's laws, word for word as core/laws.test.ts has them, over worlds whose second engine is in another process.
 */
const found = (await TwoProcesses.overEach()).filter(({ missing }) => missing === undefined)

beforeAll(() => Promise.all(found.map(two => two.start())))
afterAll(() => Promise.all(found.map(two => two.end())))

function overTwoProcesses(two: TwoProcesses): StoreKind {
  return {
    name: `${two.name}, in two processes`,
    open(options): World {
      // Real stores forget by the real time, so that a test must not begin in the past.
      const clock = new TestClock(Date.now())
      const engines = two.openEngines(options, clock.now)
      return { clock, one: engines.one, two: engines.two, gate: engines.gate, close: () => engines.close() }
    },
  }
}

storeKinds.splice(0, storeKinds.length, ...found.map(overTwoProcesses))
await import('../core/laws.test.ts')
