import type { Argon2Password, BcryptPassword, ScryptPassword, StoredPassword } from './stored.ts'

/** How costly a new hash is to compute: argon2id with one lane. */
export interface HashingCost {
  /** KiB of memory, m. Default 19456 (19 MiB). */
  readonly memoryKiB: number
  /** Passes over it, t. Default 2. */
  readonly passes: number
}

/** The default, and the second row of ASVS 5.0 Appendix C for argon2id. */
export const DEFAULT_COST: HashingCost = Object.freeze({ memoryKiB: 19_456, passes: 2 })

/** Bytes of salt and of hash in a new string (RFC 9106 §4). */
export const SALT_BYTES = 16
export const HASH_BYTES = 32

/**
 * True if this cost is approved by ASVS 5.0 Appendix C (11.4.2): t=1 with 47104 KiB, t=2 with 19456, t=3 or more with
 * 12288, or more memory.
 */
export function isApprovedCost({ memoryKiB, passes }: HashingCost): boolean {
  if (passes >= 3) return memoryKiB >= 12_288
  if (passes === 2) return memoryKiB >= 19_456
  return passes === 1 && memoryKiB >= 47_104
}

/** True if the string's parameters are approved by ASVS 5.0 Appendix C, whichever of the three kinds it is. */
export function isApproved(stored: StoredPassword): boolean {
  switch (stored.kind) {
    case 'argon2':
      return isApprovedArgon2(stored)
    case 'scrypt':
      return isApprovedScrypt(stored)
    case 'bcrypt':
      return isApprovedBcrypt(stored)
  }
}

function isApprovedArgon2(stored: Argon2Password): boolean {
  return stored.variant === 'argon2id' && stored.version === 19 && isApprovedCost(stored)
}

function isApprovedScrypt({ logN, blockSize, lanes }: ScryptPassword): boolean {
  if (blockSize < 8) return false
  return logN >= 17 || (logN === 16 && lanes >= 2) || (logN === 15 && lanes >= 3)
}

function isApprovedBcrypt({ cost }: BcryptPassword): boolean {
  return cost >= 10
}

/**
 * True if a password stored like this should be hashed anew when its owner next proves to know it.
 *
 * Everything that is not argon2id goes, also approved bcrypt and scrypt: after the next login one kind is left, in which
 * every byte of the password counts. Of argon2id goes what Appendix C does not approve, what has a short salt or hash,
 * and what costs less than today's setting. Cost is memory times passes: a total order, so that two releases with
 * different settings, running side by side, never rehash each other's work in turn.
 */
export function isWeaker(stored: StoredPassword, today: HashingCost): boolean {
  if (stored.kind !== 'argon2' || stored.variant !== 'argon2id' || stored.version !== 19) return true
  if (stored.salt.length < SALT_BYTES || stored.hashBytes < HASH_BYTES) return true
  if (isApprovedCost(today) && !isApprovedCost(stored)) return true
  return work(stored) < work(today)
}

function work({ memoryKiB, passes }: HashingCost): number {
  return memoryKiB * passes
}
