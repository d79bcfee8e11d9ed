import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { service } from '../../../../test/services/service.ts'
import type { Address } from './connect.ts'

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
