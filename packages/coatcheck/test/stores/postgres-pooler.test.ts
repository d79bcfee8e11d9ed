import { randomBytes } from 'node:crypto'
import { Client, Pool } from 'pg'
import { afterAll, describe, expect, test } from 'vitest'
import { service } from '../../../../test/services/service.ts'
import { createSessions } from '../../src/core/sessions.ts'
import { migrate, postgresStore } from '../../src/stores/postgres.ts'
import { type StoreSpace, storeLaws } from '../../src/testing/index.ts'
import { later, nextVersion, storedRecord } from '../../src/testing/records.ts'
import { Browser, SECRET } from '../core/world.ts'

const postgres = await service('postgres')
const pooler = await service('pgbouncer')
const direct = postgres.url ?? ''
const pooled = pooler.url ?? ''

const endings: (() => Promise<unknown>)[] = []
afterAll(async () => {
  for (const end of endings.reverse()) await end()
})

function newPool(connectionString: string): Pool {
  const pool = new Pool({ connectionString, max: 8 })
  pool.on('error', () => {})
  endings.push(() => pool.end())
  return pool
}

describe.skipIf(pooler.missing)('the postgres store through a transaction pooler', () => {
  const [one, two] = [newPool(pooled), newPool(pooled)]
  const listen = () => new Client(direct)

  async function open(): Promise<StoreSpace & { readonly schema: string }> {
    const schema = `test_${randomBytes(6).toString('hex')}`
    await migrate(one, { schema })
    const store = postgresStore(one, { schema, listen })
    return {
      schema,
      store,
      second: () => postgresStore(two, { schema, listen }),
      async plant(id) {
        const { generation } = await store.marks(null)
        await one.query(
          `INSERT INTO ${schema}.sessions VALUES ($1, 1, '', NULL, '', $2, 1, NULL, 1, 1, false, NULL, NULL, 'x', 1)`,
          [id, generation],
        )
      },
      close: async () => void (await one.query(`DROP SCHEMA ${schema} CASCADE`)),
    }
  }

  for (const law of storeLaws({ open })) test(law.name, law.run)

  test('a near cache that would listen through it is refused with what to do, and every read stays strict', async () => {
    const { schema, close } = await open()
    const store = postgresStore(one, { schema, timeoutMs: 1000 })
    const sessions = createSessions({ store, secret: SECRET, production: false, nearCache: true })
    await expect(sessions.ready()).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringMatching(/pooler.*listen: \(\) => new Client/),
    })
    const browser = new Browser()
    await browser.login(sessions, 'ann')
    expect(await browser.whoAmI(sessions)).toBe('ann')
    await sessions.close()
    await close()
  })

  test('with a direct connection to listen on, what is written through it is told', async () => {
    const { store, second, close } = await open()
    const heard: (string | null)[] = []
    const watch = await store.watch?.(id => heard.push(id))
    const record = await storedRecord(await second(), { userId: 'alice' })
    expect(await store.replace(nextVersion(record), later())).toBe('saved')
    await watch?.prove()
    expect(heard).toContain(record.id)
    await watch?.close()
    await close()
  })
})
