import { Client, Pool } from 'pg'
import { createSessions } from '../../src/core/sessions.ts'
import { postgresStore } from '../../src/stores/postgres.ts'
import { gatedStore } from '../../src/testing/index.ts'
import { facts, SECRET } from '../core/world.ts'

/**
 * Another process with a near cache: says who each cookie is. Its statements go to `url`, its listening connection to
 * `listenUrl`, so that a test can break one of them; without that, it listens on a connection of its pool.
 */
const LEASE_MS = 1000
const [url = '', schema = '', listenUrl = ''] = process.argv.slice(2)
const pool = new Pool({ connectionString: url })
pool.on('error', () => {})
const listen = listenUrl === '' ? {} : { listen: () => new Client(listenUrl) }
const gate = gatedStore(postgresStore(pool, { schema, timeoutMs: 30_000, ...listen }))
const sessions = createSessions({ store: gate.store, secret: SECRET, production: false, nearCache: { lease: LEASE_MS } })
sessions.on('near-cache.lost', () => process.send?.({ near: 'lost' }))
sessions.on('near-cache.proven', () => process.send?.({ near: 'proven' }))

process.on('message', async (cookies: readonly string[]) => {
  gate.reset()
  const names = await Promise.all(cookies.map(async cookie => (await sessions.open(cookie, facts)).session.userId ?? null))
  process.send?.({ names, reads: gate.calls.read })
})
