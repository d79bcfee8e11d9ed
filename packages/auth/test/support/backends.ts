import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import pg from 'pg'
import { createClient } from 'redis'
import { service } from '../../../../test/services/service.ts'
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

export interface Backend {
  readonly name: string
  /** Why it cannot be had here. */
  readonly missing: string | undefined
  /** False where two connections do not count together. */
  readonly shared: boolean
  address(): Address
  cleanUp(): void
}

const redis = await service('redis')
const postgres = await service('postgres')
const folder = mkdtempSync(join(tmpdir(), 'coatcheck-auth-'))

/** Every limiter that the package has, over a real server where it needs one. */
export const backends: readonly Backend[] = [
  { name: 'memory', missing: undefined, shared: false, address: () => ({ kind: 'memory' }), cleanUp: () => {} },
  {
    name: 'sqlite',
    missing: undefined,
    shared: true,
    address: () => ({ kind: 'sqlite', path: join(folder, `${randomUUID()}.db`) }),
    cleanUp: () => rmSync(folder, { recursive: true, force: true }),
  },
  ...(['redis', 'ioredis'] as const).map(kind => ({
    name: `redis by ${kind}`,
    missing: redis.missing,
    shared: true,
    address: (): Address => ({ kind, url: redis.url ?? '' }),
    cleanUp: () => {},
  })),
  {
    name: 'postgres',
    missing: postgres.missing,
    shared: true,
    address: () => ({ kind: 'postgres', url: postgres.url ?? '', table: `tries_${randomUUID().replaceAll('-', '')}` }),
    cleanUp: () => {},
  },
]
