import { createHmac, timingSafeEqual } from 'node:crypto'
import type { UserId } from 'coatcheck'
import type { Credentials } from './users.ts'

/** What a valid token says: whose password may be set until when, as long as it is still the one it was. */
export interface ResetClaim {
  readonly userId: UserId
  readonly expiresAt: number
  /** Of the password string for which the token was made. */
  readonly fingerprint: string
}

const SHAPE = /^([\w-]{1,400})\.([0-9a-z]{8,9})\.([\w-]{43})\.([\w-]{43})$/

/**
 * Reset tokens that nobody has to store.
 *
 * A token is signed, and bound to the password string that it is there to replace: `user.expiry.fingerprint.mac`, where
 * the fingerprint is an HMAC of that string and of what is known `about` the person. As soon as the password is another
 * one, by this token, by a second one or by a change, or the e-mail address is, every token made before is dead: single use needs no table, no pruning, and there is nothing at rest
 * that a thief of the database could use, hashed or not (ASVS 5.0 6.4.3, 6.5.1). Two uses at once are settled by
 * `savePassword`, which replaces that very string only.
 *
 * What it costs: a login that rehashes an old string voids a token under way, and a token cannot be taken back without
 * touching the password.
 */
export class ResetTokens {
  readonly #macKeys: readonly Buffer[]
  readonly #fingerprintKeys: readonly Buffer[]

  constructor(macKeys: readonly Buffer[], fingerprintKeys: readonly Buffer[]) {
    this.#macKeys = macKeys
    this.#fingerprintKeys = fingerprintKeys
  }

  make(userId: UserId, credentials: Credentials, expiresAt: number): string {
    const user = Buffer.from(JSON.stringify(typeof userId === 'bigint' ? String(userId) : userId)).toString('base64url')
    const fingerprint = fingerprintOf(this.#fingerprintKeys[0] as Buffer, userId, credentials)
    const body = `${user}.${expiresAt.toString(36)}.${fingerprint}`
    return `${body}.${hmac(this.#macKeys[0] as Buffer, body)}`
  }

  /** What the token claims, if we made it and it has not expired. Garbage costs an HMAC and no lookup. */
  read(token: unknown, now: number): ResetClaim | undefined {
    const [, user, expiry, fingerprint, mac] = (typeof token === 'string' ? SHAPE.exec(token) : null) ?? []
    if (user === undefined || expiry === undefined || fingerprint === undefined || mac === undefined) return undefined
    const body = `${user}.${expiry}.${fingerprint}`
    if (!this.#macKeys.some(key => equal(hmac(key, body), mac))) return undefined
    const expiresAt = Number.parseInt(expiry, 36)
    if (expiresAt <= now) return undefined
    return { userId: JSON.parse(Buffer.from(user, 'base64url').toString()) as UserId, expiresAt, fingerprint }
  }

  /** True if the password, and what is known about the person, is still what the token was made for. */
  isFor({ userId, fingerprint }: ResetClaim, credentials: Credentials): boolean {
    return this.#fingerprintKeys.some(key => equal(fingerprintOf(key, userId, credentials), fingerprint))
  }
}

/** JSON parts "no password" from an empty string. */
function fingerprintOf(key: Buffer, userId: UserId, { passwordHash, about = [] }: Credentials): string {
  return hmac(key, JSON.stringify([String(userId), passwordHash, ...about]))
}

function hmac(key: Buffer, text: string): string {
  return createHmac('sha256', key).update(text).digest('base64url')
}

function equal(a: string, b: string): boolean {
  return timingSafeEqual(Buffer.from(a), Buffer.from(b))
}
