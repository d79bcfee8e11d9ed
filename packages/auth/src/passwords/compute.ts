import { randomBytes, scryptSync, timingSafeEqual } from 'node:crypto'
import { hashSync as argon2HashSync, verifySync as argon2VerifySync } from '@node-rs/argon2'
import { verifySync as bcryptVerifySync } from '@node-rs/bcrypt'
import type { ScryptPassword, StoredPassword } from './stored.ts'
import { HASH_BYTES, type HashingCost, SALT_BYTES } from './strength.ts'

/** What a hashing thread is asked for: plain data, so that it can be posted. */
export type HashJob =
  | { readonly kind: 'hash'; readonly password: string; readonly cost: HashingCost; readonly salt?: Uint8Array }
  | { readonly kind: 'verify'; readonly password: string; readonly stored: string; readonly parsed: StoredPassword }

/** Computes the one hash of a job: a new string, or whether the password is the stored one's. Takes its time. */
export function compute(job: HashJob): string | boolean {
  return job.kind === 'hash' ? newString(job.password, job.cost, job.salt) : matches(job.password, job.stored, job.parsed)
}

function newString(password: string, { memoryKiB, passes }: HashingCost, salt?: Uint8Array): string {
  return argon2HashSync(password, {
    memoryCost: memoryKiB,
    timeCost: passes,
    parallelism: 1,
    outputLen: HASH_BYTES,
    salt: salt ?? randomBytes(SALT_BYTES),
  })
}

function matches(password: string, stored: string, parsed: StoredPassword): boolean {
  if (parsed.kind === 'argon2') return argon2VerifySync(stored, password)
  if (parsed.kind === 'bcrypt') return bcryptVerifySync(password, stored)
  return matchesScrypt(password, parsed)
}

function matchesScrypt(password: string, { logN, blockSize, lanes, salt, hash }: ScryptPassword): boolean {
  const N = 2 ** logN
  // What OpenSSL counts: the big table, one block a lane, and a little.
  const maxmem = 128 * blockSize * (N + lanes) + 1_048_576
  return timingSafeEqual(scryptSync(password, salt, hash.length, { N, r: blockSize, p: lanes, maxmem }), hash)
}
