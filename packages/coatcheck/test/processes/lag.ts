import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'

/** How long one process went on answering by what another one had changed: answers, and milliseconds to the last. */
export interface Lag {
  stale: number
  ms: number
}

/** Asks until the answer is right, which must be before a lease could run out. */
export async function lagUntil(ask: () => Promise<unknown>, right: unknown, leaseMs: number): Promise<Lag> {
  const from = performance.now()
  const lag = { stale: 0, ms: 0 }
  for (;;) {
    const asked = performance.now() - from
    if ((await ask()) === right) return lag
    expect(asked, 'answered by a stale record past the lease').toBeLessThan(leaseMs)
    lag.stale++
    lag.ms = asked
    // What it waits for comes over a socket.
    await sleep(1)
  }
}

export function told(what: string, lags: readonly Lag[]): void {
  const stale = lags.reduce((sum, lag) => sum + lag.stale, 0)
  const most = Math.max(...lags.map(({ ms }) => ms))
  console.log(`${what}: ${stale} stale answers after ${lags.length} changes, the last ${most.toFixed(1)} ms after its change`)
}

/** What "within milliseconds" is held to in the median: a busy machine is late at times, and not as a rule. */
const SOON_MS = 250

export function expectSoon(lags: readonly Lag[]): void {
  const sorted = lags.map(({ ms }) => ms).sort((a, b) => a - b)
  expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThan(SOON_MS)
}
