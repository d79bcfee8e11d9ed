import { describe, expect, test } from 'vitest'
import { service } from '../../../test/services/service.ts'
import { dataFolder, startApp } from './app-process.ts'
import { Client } from './client.ts'

const redis = await service('redis')
const postgres = await service('postgres')

/** Two processes with files of their own: what the second knows of the first's tries, it has from the server. */
async function triesOverTwoProcesses(env: NodeJS.ProcessEnv): Promise<number[]> {
  const folders = [dataFolder(), dataFolder()] as const
  const apps = await Promise.all(
    folders.map(({ path }) => startApp(path, { ...env, SESSION_SECRET: 'one secret for both, of 32 bytes or more' })),
  )
  const email = `${crypto.randomUUID()}@example.com`
  const statuses: number[] = []
  for (let round = 0; round < 11; round++) {
    const { url } = apps[round % 2] ?? { url: '' }
    statuses.push((await new Client(url).post('/login', { email, password: 'wrong guess' })).status)
  }
  expect(await Promise.all(apps.map(app => app.stop()))).toEqual([0, 0])
  for (const folder of folders) folder.remove()
  return statuses
}

const TEN_THEN_NO = [...Array(10).fill(401), 429]

describe.skipIf(redis.missing)('with REDIS_URL', () => {
  test('two processes count tries together', { timeout: 30_000 }, async () => {
    expect(await triesOverTwoProcesses({ REDIS_URL: redis.url })).toEqual(TEN_THEN_NO)
  })
})

describe.skipIf(postgres.missing)('with DATABASE_URL', () => {
  test('two processes count tries together', { timeout: 30_000 }, async () => {
    expect(await triesOverTwoProcesses({ DATABASE_URL: postgres.url })).toEqual(TEN_THEN_NO)
  })
})
