import { type BinaryLike, randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { hash as argon2Hash, verify as argon2Verify } from '@node-rs/argon2'
import { verify as bcryptVerify } from '@node-rs/bcrypt'
import { HashQueue, type QueueLimits } from './queue.ts'
import { BCRYPT_BYTES, parseStored, type ScryptPassword, type StoredPassword, toBase64 } from './stored.ts'
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

export interface HasherSettings extends QueueLimits, HashingCost {
  /** Believe bcrypt strings for passwords over 72 bytes, of which it sees the first 72 only. */
  readonly acceptTruncatedBcrypt: boolean
}

const scryptAsync = promisify<BinaryLike, BinaryLike, number, ScryptOptions, Buffer>(scrypt)

/**
 * Hashes and checks passwords, off the event loop and through one bounded queue.
 *
 * Every byte counts and none is changed: no trimming, no case folding, no Unicode normalisation, NUL included (ASVS 5.0
 * 6.2.8). Each check computes one hash, also where there is no stored string, or none that can be read: the time tells
 * nobody whether an account exists (ASVS 5.0 6.3.8).
 */
export class PasswordHasher {
  readonly #settings: HasherSettings
  readonly #queue: HashQueue
  readonly #decoy: string
  #computed = 0

  constructor(settings: HasherSettings) {
    this.#settings = settings
    this.#queue = new HashQueue(settings)
    this.#decoy = decoyFor(settings)
  }

  /** Hashes computed so far: what the tests of "one hash on each path" count. */
  get computed(): number {
    return this.#computed
  }

  get load(): HashQueue['load'] {
    return this.#queue.load
  }

  /** A new string for `password`, by today's setting. Does not ask whether the password is a good one. */
  hash(password: string): Promise<string> {
    return this.#compute(() => this.#argon2id(Buffer.from(password)))
  }

  /**
   * Checks `password` against a stored string; null or undefined where there is none.
   *
   * @throws CoatcheckError `HASHING_OVERLOADED`
   */
  async verify(password: string, stored: string | null | undefined): Promise<Verdict> {
    const known = parseStored(stored ?? '')
    const bytes = Buffer.from(password)
    // A lone surrogate has no UTF-8 of its own: two different texts would become the same bytes.
    if (!password.isWellFormed()) return this.#pretend(bytes, 'mismatch')
    if (known === undefined) return this.#pretend(bytes, stored ? 'unreadable' : 'mismatch')
    const matches = await this.#compute(() => this.#matches(bytes, stored as string, known))
    if (!matches) return 'mismatch'
    return this.#isBeyondBcrypt(known, bytes) ? 'beyond-bcrypt' : 'match'
  }

  /** True if the string should be replaced when its owner next proves to know the password. */
  needsRehash(stored: string): boolean {
    const known = parseStored(stored)
    return known === undefined || isWeaker(known, this.#settings)
  }

  #isBeyondBcrypt({ kind }: StoredPassword, password: Buffer): boolean {
    return kind === 'bcrypt' && password.length > BCRYPT_BYTES && !this.#settings.acceptTruncatedBcrypt
  }

  /** One hash, and no for an answer. */
  async #pretend(password: Buffer, verdict: Verdict): Promise<Verdict> {
    await this.#compute(() => argon2Verify(this.#decoy, password))
    return verdict
  }

  #compute<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#queue.run(() => {
      this.#computed++
      return work()
    })
  }

  #argon2id(password: Buffer): Promise<string> {
    const { memoryKiB, passes } = this.#settings
    return argon2Hash(password, {
      memoryCost: memoryKiB,
      timeCost: passes,
      parallelism: 1,
      outputLen: HASH_BYTES,
      salt: randomBytes(SALT_BYTES),
    })
  }

  #matches(password: Buffer, stored: string, known: StoredPassword): Promise<boolean> {
    if (known.kind === 'argon2') return argon2Verify(stored, password)
    if (known.kind === 'bcrypt') return bcryptVerify(password, stored)
    return matchesScrypt(password, known)
  }
}

/** A string of today's cost that no password fits: salt and hash are random. */
function decoyFor({ memoryKiB, passes }: HashingCost): string {
  return `$argon2id$v=19$m=${memoryKiB},t=${passes},p=1$${toBase64(randomBytes(SALT_BYTES))}$${toBase64(randomBytes(HASH_BYTES))}`
}

async function matchesScrypt(password: Buffer, { logN, blockSize, lanes, salt, hash }: ScryptPassword): Promise<boolean> {
  const N = 2 ** logN
  // What OpenSSL counts: the big table, one block a lane, and a little.
  const maxmem = 128 * blockSize * (N + lanes) + 1_048_576
  const found = await scryptAsync(password, salt, hash.length, { N, r: blockSize, p: lanes, maxmem })
  return timingSafeEqual(found, hash)
}
