/** What `rate-limiter-flexible` says of a key after a change. */
export interface Count {
  /** Tries counted in this window, the one just taken included. */
  readonly consumedPoints: number
  /** Milliseconds until the window ends; -1 if it never does. */
  readonly msBeforeNext: number
}

/** The part of a `rate-limiter-flexible` limiter that we call. */
export interface RateLimiter {
  /** Counts one and resolves; rejects with a `Count` if that is beyond the limit, with an Error if the backend failed. */
  consume(key: string): Promise<Count>
  /** Counts one less. */
  reward(key: string): Promise<unknown>
  /** Forgets the key. */
  delete(key: string): Promise<unknown>
}

/** One limit, as `rate-limiter-flexible` names its options. Hand all of them on. */
export interface RateLimiterOptions {
  readonly keyPrefix: string
  /** Tries in one window. */
  readonly points: number
  /** The window in seconds; it begins with the first try. */
  readonly duration: number
}

/**
 * Where tries are counted: makes one `rate-limiter-flexible` limiter for each limit.
 *
 * `coatcheck`'s own are `memoryLimiter()`, `sqliteLimiter(path)`, `redisLimiter(client)` and `postgresLimiter(pool)`. For
 * any other backend of that library give `createAuth` a function:
 *
 * ```ts
 * limiter: options => new RateLimiterMongo({ storeClient: mongo, ...options })
 * ```
 */
export interface Limiter {
  /** For messages: 'memory', 'redis', … */
  readonly name: string
  /** True if it counts for one process only: refused in production unless named. */
  readonly developmentOnly?: boolean
  create(options: RateLimiterOptions): RateLimiter
  /** Makes what the counters need, such as a table; called before the first try, and again as long as it fails. */
  prepare?(): Promise<void>
  /** Closes what it opened itself. */
  close?(): void
}

/** A limiter of ours, or a function that makes a `rate-limiter-flexible` one. */
export type LimiterOption = Limiter | ((options: RateLimiterOptions) => RateLimiter)

/** The option as a `Limiter`. */
export function limiterFrom(option: LimiterOption): Limiter {
  return typeof option === 'function' ? { name: 'custom', create: option } : option
}
