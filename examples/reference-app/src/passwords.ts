import { randomBytes } from 'node:crypto'
import { hash, verify } from '@node-rs/argon2'

/** argon2id with 19 MiB and two passes (OWASP Password Storage Cheat Sheet; ASVS 5.0 11.4.2). Computed off the event loop. */
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

/** What is compared where there is no account: the hash of a password that nobody knows. */
const decoy = hash(randomBytes(32), COST)

/** The text to store instead of the password. Every byte of it counts. */
export function hashPassword(password: string): Promise<string> {
  return hash(password, COST)
}

/**
 * True if `stored` was made of this password. Without `stored` it takes as long to be false, so that the time does not
 * tell which addresses have an account (ASVS 5.0 6.3.8).
 */
export async function verifyPassword(password: string, stored: string | undefined): Promise<boolean> {
  const matches = await verify(stored ?? (await decoy), password)
  return matches && stored !== undefined
}

/** 120 random bits, to be typed once and then changed or kept in a password manager. */
export function randomPassword(): string {
  return randomBytes(15).toString('base64url')
}
