import { randomUUID } from 'node:crypto'
import { migrate, postgresStore } from 'coatcheck/postgres'
import { redisStore } from 'coatcheck/redis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { service } from '../../test/services/service.ts'
import { postgresPool, redisClient } from '../src/apps/shared-stores.ts'
import { idAt, makeTemplate, type Plan, userIdAt, WHERE_FROM } from '../src/fill/plan.ts'
import { fillPostgres } from '../src/fill/postgres.ts'
import { fillStore, recordAt } from '../src/fill/store.ts'

const [redis, postgres] = [await service('redis'), await service('postgres')]

describe.skipIf(postgres.missing)('Postgres, filled by its own statement', () => {
  test('every session is what the store reads, lists and prunes', async () => {
    const schema = `fill_${randomUUID().slice(0, 8)}`
    const pool = postgresPool(postgres.url)
    onTestFinished(async () => {
      await pool.query(`DROP SCHEMA ${schema} CASCADE`)
      await pool.end()
    })
    await migrate(pool, { schema })
    const store = postgresStore(pool, { schema })
    const plan: Plan = { sessions: 500, people: 250, deadEvery: 10, template: await makeTemplate(store, WHERE_FROM) }
    await fillPostgres(pool, schema, plan)
    for (const number of [0, 1, 249, 250, 499]) expect(await store.read(idAt(number))).toEqual(recordAt(plan, number))
    const listed = await store.listByUser(userIdAt(7), 10)
    expect(listed.map(({ id }) => id).sort()).toEqual([idAt(7), idAt(257)].sort())
    expect(await store.prune?.(Date.now(), 1000)).toBe(50)
    expect(await store.read(idAt(10))).toBeUndefined()
    expect(await store.read(idAt(11))).toEqual(recordAt(plan, 11))
  })
})

describe.skipIf(redis.missing)('Redis, filled by its own create', () => {
  test('every session is there, and the filling ends where it is told to', async () => {
    const client = await redisClient(redis.url)
    onTestFinished(() => client.destroy())
    const store = redisStore(client, { prefix: `fill-${randomUUID().slice(0, 8)}:` })
    const plan: Plan = { sessions: 9000, people: 4500, template: await makeTemplate(store) }
    expect(await fillStore(store, plan, async made => made < 4000)).toBe(4000)
    for (const number of [0, 3999]) expect(await store.read(idAt(number))).toEqual(recordAt(plan, number))
    expect(await store.read(idAt(4000))).toBeUndefined()
    expect((await store.listByUser(userIdAt(7), 10)).map(({ id }) => id)).toEqual([idAt(7)])
  })
})
