import { RateLimiterMemory } from 'rate-limiter-flexible'
import type { Limiter, RateLimiter, RateLimiterOptions } from '../throttle/limiter.ts'

/** How `memoryLimiter` may be set. */
export interface MemoryLimiterOptions {
  /** Keys kept for one limit at most. Default 100000. A new one beyond that is refused, as if the backend were down. */
  readonly maxKeys?: number
}

/**
 * Counts tries in this process's memory, for development and tests.
 *
 * **Warning:** each process counts for itself, and a restart forgets everything: in production it is refused unless
 * `allowInProduction` names `memory-limiter`.
 */
export function memoryLimiter({ maxKeys = 100_000 }: MemoryLimiterOptions = {}): Limiter {
  return { name: 'memory', developmentOnly: true, create: options => bounded(options, maxKeys) }
}

/** The library keeps a key and a timer for each window, without a bound (law 11). */
function bounded(options: RateLimiterOptions, maxKeys: number): RateLimiter {
  const limiter = new RateLimiterMemory(options)
  const endsAt = new Map<string, number>()

  /** All windows are equally long, so those that end first stand first. */
  function forgetEnded(now: number): void {
    for (const [key, end] of endsAt) {
      if (end > now) return
      endsAt.delete(key)
    }
  }

  function consume(key: string) {
    const now = Date.now()
    forgetEnded(now)
    if (endsAt.has(key)) return limiter.consume(key)
    if (endsAt.size >= maxKeys) return Promise.reject(new Error(`${maxKeys} keys are counted already`))
    endsAt.set(key, now + options.duration * 1000)
    return limiter.consume(key)
  }

  function forget(key: string): Promise<boolean> {
    endsAt.delete(key)
    return limiter.delete(key)
  }

  return { consume, reward: key => limiter.reward(key), delete: forget }
}
