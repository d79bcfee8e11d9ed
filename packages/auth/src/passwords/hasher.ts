import { randomBytes } from 'node:crypto'
import type { HashJob } from './compute.ts'
import { type HashThreads, hashThreads, JOBS_IN_HAND } from './hash-threads.ts'
import { HashQueue, type Turn } from './queue.ts'
import { BCRYPT_BYTES, parseStored, type StoredPassword, toBase64 } from './stored.ts'
import { HASH_BYTES, type HashingCost, isWeaker, SALT_BYTES } from './strength.ts'

/**
 * What a check came to.
 *
 * - `mismatch`: another password.
 * - `unreadable`: the stored string is damaged or of an unknown kind; nobody can sign in with it. Look into it.
 * - `beyond-bcrypt`: the stored string is bcrypt, which looks at 72 bytes, and more were given: what comes after them
 *   cannot be checked. See `acceptTruncatedBcrypt`.
 */
export type Verdict = 'match' | 'mismatch' | 'unreadable' | 'beyond-bcrypt'

export interface HasherSettings extends HashingCost {
  /** Hashes computed at the same time, each on a thread of its own. */
  readonly concurrency: number
  /** Tries that may wait for their turn. */
  readonly longestQueue: number
  /** Believe bcrypt strings for passwords over 72 bytes, of which it sees the first 72 only. */
  readonly acceptTruncatedBcrypt: boolean
}

/**
 * Hashes and checks passwords, off the event loop and through one bounded queue.
 *
 * Every byte counts and none is changed: no trimming, no case folding, no Unicode normalisation, NUL included (ASVS 5.0
 * 6.2.8); against bcrypt and scrypt, which cannot tell them all apart, a password with a NUL is wrong. Each check computes
 * one hash, also where there is no stored string, or none that can be read: the time tells nobody whether an account
 * exists (ASVS 5.0 6.3.8).
 */
export class PasswordHasher {
  readonly #settings: HasherSettings
  readonly #queue: HashQueue
  readonly #threads: HashThreads
  readonly #decoy: string
  #computed = 0

  constructor(settings: HasherSettings) {
    this.#settings = settings
    this.#queue = new HashQueue({ inHand: settings.concurrency * JOBS_IN_HAND, longest: settings.longestQueue })
    this.#threads = hashThreads(settings.concurrency)
    this.#decoy = decoyFor(settings)
  }

  /** Hashes computed so far: what the tests of "one hash on each path" count. */
  get computed(): number {
    return this.#computed
  }

  get load(): HashQueue['load'] {
    return this.#queue.load
  }

  /**
   * A new string for `password`, by today's setting. Does not ask whether the password is a good one.
   *
   * @param salt random unless given
   * @throws CoatcheckError `HASHING_OVERLOADED`
   */
  async hash(password: string, turn: Turn = 'stranger', salt?: Uint8Array): Promise<string> {
    const { memoryKiB, passes } = this.#settings
    return String(await this.#compute(turn, { kind: 'hash', password, cost: { memoryKiB, passes }, ...(salt && { salt }) }))
  }

  /**
   * Checks `password` against a stored string; null or undefined where there is none.
   *
   * @throws CoatcheckError `HASHING_OVERLOADED`
   */
  async verify(password: string, stored: string | null | undefined, turn: Turn = 'stranger'): Promise<Verdict> {
    // A lone surrogate has no UTF-8 of its own: two different texts would become the same bytes.
    if (!password.isWellFormed()) return this.#pretend(password, 'mismatch', turn)
    const parsed = parseStored(stored ?? '')
    if (!stored || parsed === undefined) return this.#pretend(password, stored ? 'unreadable' : 'mismatch', turn)
    const fits = await this.#compute(turn, { kind: 'verify', password, stored, parsed })
    if (!fits || isBlurredByNul(parsed, password)) return 'mismatch'
    return this.#isBeyondBcrypt(parsed, password) ? 'beyond-bcrypt' : 'match'
  }

  /** True if the string should be replaced when its owner next proves to know the password. */
  needsRehash(stored: string): boolean {
    const known = parseStored(stored)
    return known === undefined || isWeaker(known, this.#settings)
  }

  #isBeyondBcrypt({ kind }: StoredPassword, password: string): boolean {
    return kind === 'bcrypt' && Buffer.byteLength(password) > BCRYPT_BYTES && !this.#settings.acceptTruncatedBcrypt
  }

  /** One hash, and no for an answer. */
  async #pretend(password: string, verdict: Verdict, turn: Turn): Promise<Verdict> {
    await this.verify(password.toWellFormed(), this.#decoy, turn)
    return verdict
  }

  #compute(turn: Turn, job: HashJob): Promise<string | boolean> {
    return this.#queue.run(turn, () => {
      this.#computed++
      return this.#threads.run(job)
    })
  }
}

/**
 * bcrypt repeats a password with a NUL after each copy, and the HMAC in scrypt fills it up with NULs (RFC 2104 §2): "P\0P"
 * and "P\0" are the same to them as "P".
 */
function isBlurredByNul({ kind }: StoredPassword, password: string): boolean {
  return kind !== 'argon2' && password.includes('\0')
}

/** A string of today's cost that no password fits: salt and hash are random. */
function decoyFor({ memoryKiB, passes }: HashingCost): string {
  return `$argon2id$v=19$m=${memoryKiB},t=${passes},p=1$${toBase64(randomBytes(SALT_BYTES))}$${toBase64(randomBytes(HASH_BYTES))}`
}
