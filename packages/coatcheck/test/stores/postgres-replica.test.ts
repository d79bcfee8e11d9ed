import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, Pool } from 'pg'
import { afterAll, describe, expect, test } from 'vitest'
import { postgresRecipe, startPostgres } from '../../../../test/services/postgres.ts'
import { type Server, startServer } from '../../../../test/services/server.ts'
import { service } from '../../../../test/services/service.ts'
import { createSessions } from '../../src/core/sessions.ts'
import { migrate, postgresStore } from '../../src/stores/postgres.ts'
import { later, nextVersion, preparedRecord, storedRecord } from '../../src/testing/records.ts'
import { Browser, SECRET } from '../core/world.ts'

const basebackup = await service('pg_basebackup')

const LEASE_MS = 1000
const endings: (() => unknown)[] = []
afterAll(async () => {
  for (const end of endings.reverse()) await end()
})

async function startPrimary(): Promise<Server> {
  const server = await startPostgres()
  if ('missing' in server) throw new Error(server.missing)
  endings.push(() => server.stop())
  return server
}

/** A hot standby that follows the primary. */
async function startReplica(primary: Server): Promise<Server> {
  const recipe = await postgresRecipe()
  if ('missing' in recipe) throw new Error(recipe.missing)
  const server = await startServer({
    ...recipe,
    says: /ready to accept read-only connections/,
    prepare: async (place, run) => {
      await run([basebackup.url ?? '', '-d', primary.url, '-D', join(place.folder, 'data'), '-R', '-c', 'fast', '--no-sync'])
    },
  })
  endings.push(() => server.stop())
  return server
}

function newPool(url: string): Pool {
  const pool = new Pool({ connectionString: url })
  pool.on('error', () => {})
  endings.push(() => pool.end())
  return pool
}

describe.skipIf(basebackup.missing)('a replica of Postgres', () => {
  test('law 9: answers nothing, since it may not have heard of what was ended', async () => {
    const primary = await startPrimary()
    const store = postgresStore(await migrated(primary))
    const record = await storedRecord(store, { userId: 'ann' })
    const replica = await startReplica(primary)
    const lagging = postgresStore(newPool(replica.url))
    const refused = { code: 'STORE_UNAVAILABLE', status: 503, message: expect.stringMatching(/read-only replica.*primary/) }
    const asked: (() => unknown)[] = [
      () => lagging.read(record.id),
      () => lagging.read('missing'),
      () => lagging.marks('ann'),
      () => lagging.listByUser('ann', 10),
      () => lagging.listByUser('nobody', 10),
      () => lagging.scan(null, 10),
      () => lagging.touch(record.id, record.lastSeenAt + 1, later()),
      () => lagging.delete(record.id),
      () => lagging.revokeUser('ann'),
      () => lagging.watch?.(() => {}),
    ]
    for (const ask of asked) await expect(async () => ask()).rejects.toMatchObject(refused)
    await expect(lagging.create(await preparedRecord(store), later())).rejects.toMatchObject(refused)
    await expect(lagging.replace(nextVersion(record), later())).rejects.toMatchObject(refused)
    expect(await store.read(record.id)).toMatchObject({ version: 1 })
  }, 120_000)

  test('law 9: promoted, while a near cache listens to the old primary: its next proof fails, and nothing is served past the lease', async () => {
    const primary = await startPrimary()
    const [before, replica] = [await migrated(primary), await startReplica(primary)]
    const after = newPool(replica.url)
    // As a name that points to the new primary, while the old one is cut off and goes on.
    const now = { pool: before, url: primary.url }
    const store = postgresStore({ connect: () => now.pool.connect() }, { listen: () => new Client(now.url) })
    const near = createSessions({ store, secret: SECRET, production: false, nearCache: { lease: LEASE_MS } })
    const strict = createSessions({ store: postgresStore(after), secret: SECRET, production: false })
    await near.ready()
    const browser = new Browser()
    await browser.login(near, 'ann')
    expect(await browser.whoAmI(near)).toBe('ann')
    await expect.poll(async () => (await after.query('SELECT FROM coatcheck.sessions')).rowCount).toBe(1)
    const lost = new Promise(resolve => near.on('near-cache.lost', resolve))
    await after.query('SELECT pg_promote()')
    now.pool = after
    await expect.poll(() => strict.revokeUser('ann')).toBe(1)
    await sleep(LEASE_MS)
    expect(await browser.whoAmI(near)).toBeUndefined()
    await lost
    now.url = replica.url
    await new Promise(resolve => near.on('near-cache.proven', resolve))
    await browser.login(strict, 'ann')
    expect(await browser.whoAmI(near)).toBe('ann')
    await near.close()
  }, 120_000)
})

async function migrated(server: Server): Promise<Pool> {
  const pool = newPool(server.url)
  await migrate(pool)
  return pool
}
