import { afterEach, expect, test, vi } from 'vitest'
import { createSessions } from '../../src/core/sessions.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { gatedStore } from '../../src/testing/gate.ts'
import { SECRET } from './world.ts'

afterEach(() => void vi.useRealTimers())

// Guard: in sessions.ts `this.#pruneTimer = undefined` of `close`.
test('law 11: a prune that close() finds under way is the last', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const gate = gatedStore(memoryStore())
  const sessions = createSessions({ store: gate.store, secret: SECRET, production: false })
  for (const round of [1, 2]) {
    const held = gate.hold('prune')
    vi.runOnlyPendingTimers()
    await held.arrived
    if (round === 2) await sessions.close()
    held.release()
    await vi.advanceTimersByTimeAsync(0)
    expect(vi.getTimerCount(), `after prune ${round}`).toBe(round === 1 ? 1 : 0)
  }
})
