import { expect, onTestFinished, test } from 'vitest'
import { service } from '../../test/services/service.ts'
import { startStoreServer } from '../src/processes/store-servers.ts'

import { readScaleOptions, type ScaleOptions } from '../src/scale/options.ts'
import { usesIndexes } from '../src/scale/plans.ts'
import { measurePostgres } from '../src/scale/postgres.ts'
import { measureRedis } from '../src/scale/redis.ts'
import { scaleMarkdown, scaleVerdicts } from '../src/scale/report.ts'

// Asked first, for what must be installed; each test then has a server of its own, with nothing else in it.
const [redis, postgres] = [await service('redis'), await service('postgres')]

const TINY: ScaleOptions = {
  ...readScaleOptions(['--sessions', '2000']),
  smallSessions: 1000,
  rounds: 1,
  sliceMs: 100,
  touches: 200,
  serveMs: 200,
}

async function ownServer(url: 'DATABASE_URL' | 'REDIS_URL'): Promise<string> {
  const server = await startStoreServer(url, undefined)
  if ('missing' in server) throw new Error(server.missing)
  onTestFinished(() => server.stop())
  return server.url
}

test.skipIf(postgres.missing)(
  'Postgres: every operation, the touches, the pruning and the plans are measured, and judged',
  async () => {
    const found = await measurePostgres(await ownServer('DATABASE_URL'), TINY)
    expect(found.operations.map(({ operation }) => operation)).toEqual(['read', 'save', 'touch', 'listByUser'])
    for (const { calls, ratio } of found.operations) expect([calls > 0, ratio > 0]).toEqual([true, true])
    expect(found.touches.count).toBe(200)
    // A tenth of 2000, less the one that is deleted and the ten that are pruned for their plans.
    expect(found.prune.pruned).toBe(189)
    expect(found.plans.map(({ scans }) => scans.length > 0)).toEqual(found.plans.map(() => true))
    const findings = { machine: {}, smallSessions: 1000, postgres: found, redis: undefined, missing: new Map() }
    expect(scaleVerdicts(findings).map(({ title }) => /read|save|listByUser|HOT|statements/.exec(title)?.[0])).toEqual([
      'read',
      'save',
      'listByUser',
      'HOT',
      'read',
      'save',
      'statements',
    ])
    expect(scaleMarkdown(findings)).toContain('## Postgres, 2000 sessions')
  },
)

test.skipIf(redis.missing)('Redis: every operation is measured, and how much memory a session takes', async () => {
  const found = await measureRedis(await ownServer('REDIS_URL'), TINY)
  expect(found.sessions).toBe(2000)
  expect(found.bytesPerSession).toBeGreaterThan(120)
  for (const { calls, ratio } of found.operations) expect([calls > 0, ratio > 0]).toEqual([true, true])
})

test('a statement that reads through the table is noticed, and so is one whose plan was not seen', () => {
  const of = (...scans: string[]) => [{ operation: 'read', scans }]
  expect(usesIndexes(of('Index Scan (sessions_pkey)'))).toBe(true)
  expect(usesIndexes(of('Index Scan (sessions_pkey)', 'Seq Scan'))).toBe(false)
  expect(usesIndexes(of())).toBe(false)
})

test('a number of sessions that will not do is refused', () => {
  expect(() => readScaleOptions(['--sessions', 'many'])).toThrow(/whole number/)
  expect(() => readScaleOptions(['--only', 'mongo'])).toThrow(/postgres or redis/)
})

test("one store's run is written under a name of its own, or the other's figures of that day were lost", () => {
  expect(readScaleOptions([])).toMatchObject({ write: true, suffix: '' })
  expect(readScaleOptions(['--only', 'redis', '--write'])).toMatchObject({ write: true, suffix: '-redis' })
})
