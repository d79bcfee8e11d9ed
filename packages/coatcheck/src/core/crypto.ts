import { createHash, createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'

/** Random bytes of the system's CSPRNG as base64url without padding (RFC 4648 §5; ASVS 5.0 11.5.1). */
export function randomText(bytes: number): string {
  return randomBytes(bytes).toString('base64url')
}

/** base64url(SHA-256(text)). Enough for a 256-bit random secret, which no dictionary holds. */
export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

/** base64url(HMAC-SHA-256(key, text)) (RFC 2104). */
export function hmac(key: Buffer, text: string): string {
  return createHmac('sha256', key).update(text).digest('base64url')
}

/** A 256-bit key for one purpose, so that one secret never serves two (RFC 5869). `purpose` must be ours alone. */
export function deriveKey(secret: string, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', `coatcheck ${purpose}`, 32))
}

/** Compares two texts in a time that depends on their lengths only (ASVS 5.0 11.2.4). */
export function equalText(a: string, b: string): boolean {
  const left = Buffer.from(a)
  const right = Buffer.from(b)
  return left.length === right.length && timingSafeEqual(left, right)
}

/**
 * Compares two hashes of one length without stopping at the first difference.
 *
 * A plain loop instead of two Buffers: it stands on the path of every signed-in request. Both sides are hashes of
 * random secrets, so that even its timing could teach an attacker only a hash that he cannot invert.
 */
export function equalHash(a: string, b: string): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i)
  return difference === 0
}
