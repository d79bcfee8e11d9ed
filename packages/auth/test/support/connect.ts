import { Redis } from 'ioredis'
import pg from 'pg'
import { createClient } from 'redis'
import { memoryLimiter } from '../../src/limiters/memory.ts'
import { postgresLimiter } from '../../src/limiters/postgres.ts'
import { redisLimiter } from '../../src/limiters/redis.ts'
import { sqliteLimiter } from '../../src/limiters/sqlite.ts'
import type { Limiter } from '../../src/throttle/limiter.ts'

/** How a process reaches a backend; a child gets it as JSON. */
export type Address =
  | { readonly kind: 'memory' }
  | { readonly kind: 'sqlite'; readonly path: string }
  | { readonly kind: 'redis' | 'ioredis'; readonly url: string }
  | { readonly kind: 'postgres'; readonly url: string; readonly table: string }

export interface Opened {
  readonly limiter: Limiter
  close(): Promise<void>
}

/** A connection of this process's own. */
export async function open(address: Address): Promise<Opened> {
  switch (address.kind) {
    case 'memory':
      return { limiter: memoryLimiter(), close: async () => {} }
    case 'sqlite': {
      const limiter = sqliteLimiter(address.path)
      return { limiter, close: async () => limiter.close?.() }
    }
    case 'redis': {
      const client = createClient({ url: address.url })
      client.on('error', () => {})
      await client.connect()
      return { limiter: redisLimiter(client), close: async () => client.destroy() }
    }
    case 'ioredis': {
      const client = new Redis(address.url, { lazyConnect: true })
      client.on('error', () => {})
      return { limiter: redisLimiter(client), close: async () => client.disconnect() }
    }
    case 'postgres': {
      const pool = new pg.Pool({ connectionString: address.url, max: 5, connectionTimeoutMillis: 2000 })
      pool.on('error', () => {})
      return { limiter: postgresLimiter(pool, { table: address.table }), close: () => pool.end() }
    }
  }
}
