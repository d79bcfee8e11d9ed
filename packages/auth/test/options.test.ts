import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSessions } from 'coatcheck'
import { memoryStore } from 'coatcheck/memory'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type AuthOptions, type AuthWeakness, createAuth } from '../src/index.ts'
import { memoryLimiter } from '../src/limiters/memory.ts'
import { sqliteLimiter } from '../src/limiters/sqlite.ts'
import { settingsFrom } from '../src/options.ts'
import type { Limiter } from '../src/throttle/limiter.ts'

const secret = 'a secret of thirty-two bytes at least, for tests'
const shared: Limiter = { ...memoryLimiter(), developmentOnly: false }

function full(options: Partial<AuthOptions>, production = true): AuthOptions {
  const sessions = createSessions({ store: memoryStore(), secret, production, allowInProduction: ['memory-store'] })
  const hooks = { findUser: () => null, findCredentials: () => null, savePassword: () => false }
  return { sessions, limiter: shared, ...hooks, ...options }
}

function make(options: Partial<AuthOptions>, production = true) {
  return createAuth(full(options, production))
}

describe('law 12: weaker settings are refused in production without their name', () => {
  /** Options, and what the settings then are. A name that has no case here does not compile. */
  const weak: Record<AuthWeakness, [Partial<AuthOptions>, settings: object][]> = {
    'memory-limiter': [[{ limiter: memoryLimiter() }, { limiter: { name: 'memory' } }]],
    'weak-hashing': [
      [{ passwords: { passes: 1 } }, { hashing: { passes: 1 } }],
      [{ passwords: { memoryKiB: 19_455 } }, { hashing: { memoryKiB: 19_455 } }],
    ],
    'short-passwords': [[{ passwords: { minLength: 7 } }, { policy: { minLength: 7 } }]],
    'loose-limits': [
      [{ limits: { perAccount: [{ tries: 101, per: '1d' }] } }, { windows: { perAccount: [{ tries: 101 }] } }],
      [{ limits: { perAccount: [{ tries: 10, per: '1h' }] } }, { windows: { perAccount: [{ tries: 10 }] } }],
    ],
    'truncated-bcrypt': [[{ passwords: { acceptTruncatedBcrypt: true } }, { hashing: { acceptTruncatedBcrypt: true } }]],
  }
  const names = Object.keys(weak) as AuthWeakness[]
  const rows = names.flatMap(name => weak[name].map(([options, settings]) => ({ name, options, settings })))

  test.each(rows)('law 12: $name is refused in production, allowed by its name, and allowed in development: $settings', row => {
    const { name, options, settings } = row
    const refusal = expect.objectContaining({ code: 'BAD_OPTION', message: expect.stringContaining(`'${name}'`) })
    expect(() => make(options)).toThrow(refusal)
    expect(() => make({ ...options, allowInProduction: names.filter(other => other !== name) })).toThrow(refusal)
    expect(() => make({ ...options, allowInProduction: [name] })).not.toThrow()
    expect(settingsFrom(full({ ...options, allowInProduction: [name] }))).toMatchObject(settings)
    expect(() => make(options, false)).not.toThrow()
  })

  test.each([':memory:', '', 'file::memory:', 'file:tries?mode=memory'])(
    'law 12: memory-limiter is the name of an SQLite limiter without a file, too: %j',
    path => {
      const limiter = sqliteLimiter(path)
      onTestFinished(() => limiter.close?.())
      expect(() => make({ limiter })).toThrow(/'memory-limiter'/)
      expect(() => make({ limiter, allowInProduction: ['memory-limiter'] })).not.toThrow()
    },
  )

  test('law 12: an SQLite limiter with a file needs no name', () => {
    const folder = mkdtempSync(join(tmpdir(), 'coatcheck-auth-'))
    const limiter = sqliteLimiter(join(folder, 'tries.db'))
    onTestFinished(() => {
      limiter.close?.()
      rmSync(folder, { recursive: true })
    })
    expect(() => make({ limiter })).not.toThrow()
  })

  test('several at once are named together', () => {
    const options = { passwords: { passes: 1, minLength: 4 } }
    expect(() => make(options)).toThrow(/'weak-hashing', 'short-passwords'/)
    expect(() => make({ ...options, allowInProduction: ['weak-hashing'] })).toThrow(/production: 'short-passwords'/)
  })

  test('the defaults, and what is stronger, need no name', () => {
    expect(() => make({})).not.toThrow()
    expect(() =>
      make({ passwords: { memoryKiB: 47_104, passes: 1, minLength: 15 }, limits: { perAccount: [{ tries: 50, per: '1d' }] } }),
    ).not.toThrow()
  })
})

describe('mistakes are errors at the start, which name the option', () => {
  const mistakes: [string, object, RegExp][] = [
    ['no sessions', { sessions: undefined }, /sessions must be/],
    ['no findUser', { findUser: undefined }, /findUser must be a function/],
    ['no findCredentials', { findCredentials: 'x' }, /findCredentials must be a function/],
    ['no savePassword', { savePassword: null }, /savePassword must be a function/],
    ['no limiter', { limiter: undefined }, /limiter is missing/],
    ['a Redis client for a limiter', { limiter: { get() {} } }, /limiter is missing/],
    ['no limit at all', { limits: { perAccount: [] } }, /limits\.perAccount is empty/],
    ['half a try', { limits: { perIp: [{ tries: 0.5, per: '1d' }] } }, /limits\.perIp\.tries/],
    ['a window without a unit', { limits: { perIp: [{ tries: 5, per: '10' }] } }, /limits\.perIp\.per/],
    ['no memory', { passwords: { memoryKiB: 0 } }, /passwords\.memoryKiB/],
    ['all memory', { passwords: { memoryKiB: 2 ** 32 } }, /passwords\.memoryKiB/],
    ['a million passes', { passwords: { passes: 1e6 } }, /passwords\.passes/],
    ['no threads', { passwords: { concurrency: 0 } }, /passwords\.concurrency/],
    ['no queue', { passwords: { longestQueue: -1 } }, /passwords\.longestQueue/],
    ['no length', { passwords: { minLength: Number.NaN } }, /passwords\.minLength/],
    ['a reset that never ends', { resetLifetime: '99999d' }, /resetLifetime/],
  ]

  test.each(mistakes)('%s', (_name, options, message) => {
    expect(() => make(options as Partial<AuthOptions>)).toThrow(
      expect.objectContaining({ code: 'BAD_OPTION', message: expect.stringMatching(message) }),
    )
  })

  test('a hook that is needed and missing is named when it is needed', async () => {
    const auth = make({})
    await expect(auth.disable('ann')).rejects.toThrow(/createAuth\(\{ disableUser \}\)/)
    await expect(auth.enable('ann')).rejects.toThrow(/createAuth\(\{ enableUser \}\)/)
    await expect(auth.startReset('ann')).rejects.toThrow(/createAuth\(\{ sendReset \}\)/)
  })
})
