import { describe, expect, test } from 'vitest'
import { service } from '../../../test/services/service.ts'
import { dataFolder, member, startApp } from './app-process.ts'
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

test('a flood of sign-ups from one address is refused after a hundred, and keeps nobody from signing in', {
  timeout: 60_000,
}, async () => {
  const folder = dataFolder()
  const app = await startApp(folder.path, { TRUST_PROXY: '1' })
  const from = (ip: string) => new Client(app.url, { 'x-forwarded-for': ip })
  const signUp = (email: string, ip: string) => from(ip).post('/signup', { email, password: 'correct horse battery' })
  const flood = Array.from({ length: 300 }, (_, i) => signUp(i < 200 ? member.email : `new${i}@example.com`, '203.0.113.9'))
  expect((await from('198.51.100.7').post('/login', member)).status).toBe(200)
  const answers = await Promise.all(flood)
  const counts = Object.groupBy(answers, ({ status }) => status)
  expect(counts[429]).toHaveLength(200)
  expect((counts[409]?.length ?? 0) + (counts[201]?.length ?? 0)).toBe(100)
  const refused = counts[429]?.[0]
  expect(Number(refused?.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(await refused?.json()).toEqual({ error: 'Too many tries. Please wait a while.' })
  expect((await signUp('someone.else@example.com', '198.51.100.8')).status).toBe(201)
  await app.stop()
  folder.remove()
})

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
