import { CoatcheckError, type Duration, durationMs, type Sessions } from 'coatcheck'
import type { HasherSettings } from './passwords/hasher.ts'
import type { PasswordPolicy } from './passwords/policy.ts'
import { fittingConcurrency } from './passwords/queue.ts'
import { MOST_MEMORY_KIB, MOST_PASSES } from './passwords/stored.ts'
import { DEFAULT_COST, type HashingCost, isApprovedCost } from './passwords/strength.ts'
import type { Window } from './throttle/counter.ts'
import { type Limiter, type LimiterOption, limiterFrom } from './throttle/limiter.ts'
import { DEFAULT_LIMITS, isLoose, type Limit, type Limits } from './throttle/limits.ts'
import type { Windows } from './throttle/throttle.ts'
import type { Users } from './users.ts'

/** Settings that weaken the defence. In production each is refused unless `allowInProduction` names it (law 12). */
export type AuthWeakness =
  /** Tries are counted for one process only. */
  | 'memory-limiter'
  /** Hashing below ASVS 5.0 Appendix C. */
  | 'weak-hashing'
  /** Passwords under 8 characters (ASVS 5.0 6.2.1). */
  | 'short-passwords'
  /** More than 100 guesses a day from strangers against one account. */
  | 'loose-limits'
  /** bcrypt strings believed for passwords over 72 bytes. */
  | 'truncated-bcrypt'

/** What may be set about passwords. */
export interface PasswordOptions extends Partial<PasswordPolicy>, Partial<HashingCost> {
  /** Hashes computed at once, each on a thread of its own. Default: as many as leave one core to the event loop. */
  readonly concurrency?: number
  /** Strangers' tries that may wait to be hashed, and as many of known people's, who go first; one more is a 503. Default 256. */
  readonly longestQueue?: number
  /**
   * Believe a bcrypt string from before for a password over 72 bytes, of which bcrypt sees the first 72 only.
   *
   * **Warning:** what comes after the 72nd byte is then not checked at that one login, and what was typed there, right
   * or wrong, is what the new string holds. Without it such people need a reset; you hear of each by `login.failed`
   * with `beyond-bcrypt`. The name is `truncated-bcrypt`.
   */
  readonly acceptTruncatedBcrypt?: boolean
}

/** What `createAuth` takes. Checked once, then frozen. */
export interface AuthOptions extends Users {
  readonly sessions: Sessions
  /** Where tries are counted: `sqliteLimiter(path)`, `redisLimiter(client)`, `postgresLimiter(pool)`, `memoryLimiter()`. */
  readonly limiter: LimiterOption
  /** Limits that take the place of the default ones, list by list. */
  readonly limits?: Partial<Limits>
  readonly passwords?: PasswordOptions
  /** How long a reset mail's link works. Default `'30m'`. */
  readonly resetLifetime?: Duration
  /** How long a browser is remembered after a login. Default `'180d'`. */
  readonly deviceLifetime?: Duration
  /** The weaker settings that are meant, by name. */
  readonly allowInProduction?: readonly AuthWeakness[]
  /** For tests: milliseconds since the epoch. */
  readonly now?: () => number
}

/** The options with every default filled in. */
export interface AuthSettings {
  readonly limiter: Limiter
  readonly windows: Windows
  readonly hashing: HasherSettings
  readonly policy: PasswordPolicy
  readonly resetMs: number
  readonly deviceMs: number
  readonly now: () => number
}

/**
 * Checks the options and fills in the defaults.
 *
 * @throws CoatcheckError `BAD_OPTION`, at start-up, naming the option and the remedy
 */
export function settingsFrom(options: AuthOptions): AuthSettings {
  checkHooks(options)
  const settings = Object.freeze({
    limiter: limiterFrom(options.limiter),
    windows: windowsFrom({ ...DEFAULT_LIMITS, ...options.limits }),
    hashing: hashingFrom(options.passwords ?? {}),
    policy: policyFrom(options.passwords ?? {}),
    resetMs: durationMs(options.resetLifetime ?? '30m', 'resetLifetime'),
    deviceMs: durationMs(options.deviceLifetime ?? '180d', 'deviceLifetime'),
    now: options.now ?? Date.now,
  })
  refuseWeakness(weaknesses(settings), options)
  return settings
}

/** More threads than any machine has cores to spare; each may take the memory of a hash. */
const MOST_THREADS = 256

function bad(message: string): CoatcheckError {
  return new CoatcheckError('BAD_OPTION', message)
}

function checkHooks({ sessions, limiter, findUser, findCredentials, savePassword }: AuthOptions): void {
  if (typeof sessions?.requestOf !== 'function') throw bad('sessions must be what createSessions() gave.')
  for (const [name, hook] of Object.entries({ findUser, findCredentials, savePassword })) {
    if (typeof hook !== 'function') throw bad(`${name} must be a function: see Users in docs/login.md.`)
  }
  if (typeof limiter === 'function' || typeof limiter?.create === 'function') return
  throw bad(
    'limiter is missing: tries must be counted. Pass sqliteLimiter(path), redisLimiter(client), postgresLimiter(pool) or, in development, memoryLimiter().',
  )
}

function windowsFrom(limits: Limits): Windows {
  const entries = Object.entries(limits).map(([name, list]) => [name, windowList(name, list as readonly Limit[])])
  return Object.freeze(Object.fromEntries(entries)) as Windows
}

/** Short windows first: a burst then fills a minute, not a day. */
function windowList(name: string, list: readonly Limit[]): readonly Window[] {
  if (list.length === 0) throw bad(`limits.${name} is empty: it would allow any number of guesses.`)
  const windows = list.map(({ tries, per }) => ({
    tries: positive(tries, `limits.${name}.tries`),
    seconds: secondsOf(per, `limits.${name}.per`),
  }))
  return windows.sort((a, b) => a.seconds - b.seconds)
}

function secondsOf(per: Duration, option: string): number {
  return Math.ceil(durationMs(per, option) / 1000)
}

function hashingFrom(options: PasswordOptions): HasherSettings {
  return Object.freeze({
    // Beyond these bounds a stored string counts as damaged: see stored.ts.
    memoryKiB: between(8, options.memoryKiB ?? DEFAULT_COST.memoryKiB, MOST_MEMORY_KIB, 'passwords.memoryKiB'),
    passes: between(1, options.passes ?? DEFAULT_COST.passes, MOST_PASSES, 'passwords.passes'),
    concurrency: between(1, options.concurrency ?? fittingConcurrency(), MOST_THREADS, 'passwords.concurrency'),
    longestQueue: positive(options.longestQueue ?? 256, 'passwords.longestQueue'),
    acceptTruncatedBcrypt: options.acceptTruncatedBcrypt ?? false,
  })
}

function policyFrom({ minLength = 8, contextWords = [], isBreached }: PasswordOptions): PasswordPolicy {
  return Object.freeze({ minLength: positive(minLength, 'passwords.minLength'), contextWords: [...contextWords], isBreached })
}

function weaknesses({ limiter, windows, hashing, policy }: AuthSettings): readonly AuthWeakness[] {
  const found: [AuthWeakness, boolean][] = [
    ['memory-limiter', limiter.developmentOnly === true],
    ['weak-hashing', !isApprovedCost(hashing)],
    ['short-passwords', policy.minLength < 8],
    ['loose-limits', isLoose(windows.perAccount)],
    ['truncated-bcrypt', hashing.acceptTruncatedBcrypt],
  ]
  return found.filter(([, present]) => present).map(([name]) => name)
}

function refuseWeakness(found: readonly AuthWeakness[], { sessions, allowInProduction = [] }: AuthOptions): void {
  if (!sessions.production) return
  const refused = found.filter(name => !allowInProduction.includes(name))
  if (refused.length === 0) return
  const names = refused.map(name => `'${name}'`).join(', ')
  throw bad(
    `Too weak for production: ${names}. Use the safe default, or, if this is meant, createAuth({ allowInProduction: [${names}] }).`,
  )
}

function between(least: number, value: number, most: number, option: string): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value
  throw bad(`${option} must be a whole number from ${least} to ${most}; got ${JSON.stringify(value)}.`)
}

function positive(value: number, option: string): number {
  if (Number.isSafeInteger(value) && value > 0) return value
  throw bad(`${option} must be a whole number above 0; got ${JSON.stringify(value)}.`)
}
