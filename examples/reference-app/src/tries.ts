import type { Limiter } from '@coatcheck/auth'
import { postgresLimiter } from '@coatcheck/auth/postgres'
import { redisLimiter } from '@coatcheck/auth/redis'
import { sqliteLimiter } from '@coatcheck/auth/sqlite'
import type { Settings } from './settings.ts'

/** Where tries to sign in are counted. */
export interface Tries {
  readonly limiter: Limiter
  /** Closes what was opened here. */
  close(): Promise<void>
}

/** Tries are counted in Redis or Postgres where the environment names one, else beside the accounts. */
export function openTries({ redisUrl, databaseUrl }: Pick<Settings, 'redisUrl' | 'databaseUrl'>, file: string): Promise<Tries> {
  if (redisUrl !== undefined) return overRedis(redisUrl)
  if (databaseUrl !== undefined) return overPostgres(databaseUrl)
  return Promise.resolve({ limiter: sqliteLimiter(file), close: async () => {} })
}

/** The driver is loaded only where it is wanted. */
async function overRedis(url: string): Promise<Tries> {
  const { createClient } = await import('redis')
  const client = createClient({ url })
  client.on('error', error => console.error('Redis:', error.message))
  await client.connect()
  return { limiter: redisLimiter(client), close: () => client.close() }
}

async function overPostgres(connectionString: string): Promise<Tries> {
  const { default: pg } = await import('pg')
  const pool = new pg.Pool({ connectionString })
  pool.on('error', error => console.error('Postgres:', error.message))
  return { limiter: postgresLimiter(pool), close: () => pool.end() }
}
