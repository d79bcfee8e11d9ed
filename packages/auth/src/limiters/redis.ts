import { RateLimiterRedis } from 'rate-limiter-flexible'
import type { Limiter } from '../throttle/limiter.ts'

/** A client of the packages `redis` or `ioredis`, single, Sentinel or Cluster: made, connected and closed by you. */
export interface RedisClient {
  /** ioredis says `wait` where it would connect at its first command. */
  readonly status?: string
  connect?(): Promise<unknown>
}

/**
 * Counts tries in Redis or Valkey, for any number of processes: one script, one round trip, one key (so Cluster too).
 *
 * A client that is not connected refuses at once instead of queueing: a login must not wait for a Redis that is down.
 */
export function redisLimiter(client: RedisClient): Limiter {
  // ioredis defines its script as a command; the `redis` package takes it in an EVAL of another shape.
  const useRedisPackage = !('defineCommand' in client)
  return {
    name: 'redis',
    create: options => new RateLimiterRedis({ ...options, storeClient: client, useRedisPackage, rejectIfRedisNotReady: true }),
    async prepare() {
      if (client.status === 'wait') await client.connect?.()
    },
  }
}
