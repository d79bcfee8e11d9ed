import { describe, expect, test } from 'vitest'
import { service } from '../../test/services/service.ts'
import { measureRevocation } from '../src/measure/revocation.ts'

const [redis, postgres] = [await service('redis'), await service('postgres')]
const NOT_BOUND = { server: undefined, load: undefined }

describe.each([
  ['redis', 'REDIS_URL', redis],
  ['postgres', 'DATABASE_URL', postgres],
] as const)('%s', (kind, variable, server) => {
  const promise = 'every session that is ended is refused by the other process, each measured'
  test.skipIf(server.missing)(promise, { timeout: 120_000 }, async () => {
    process.env[variable] = server.url!
    const { refused, bare, loadPerSecond } = await measureRevocation(kind, 20, NOT_BOUND, 20)
    expect([refused.count, bare.count]).toEqual([20, 20])
    expect(bare.p50).toBeGreaterThan(0)
    // The first refusal cannot come before the answer to the first question.
    expect(refused.p50).toBeGreaterThan(0)
    expect(loadPerSecond).toBeGreaterThan(0)
  })
})
