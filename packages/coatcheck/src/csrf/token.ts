import { equalText, hmac, randomText } from '../core/crypto.ts'

/** What a token is good for: one session's present secret, or the nonce of a visitor who has none. */
export interface Binding {
  readonly to: 'session' | 'visitor'
  /** The session's `tokenHash`, so that a rotation rotates it; or the nonce. */
  readonly value: string
}

const MASK_BYTES = 16
const NONCE_BYTES = 32
/** `mask.mac` in base64url. Both go into the comparison as texts, so that a token has one spelling only. */
const TOKEN = /^([\w-]{22})\.([\w-]{43})$/
const NONCE = /^[\w-]{43}$/

/**
 * A token for what `binding` names (OWASP CSRF Prevention: signed, session-bound). A new one each time: its random mask
 * keeps it from being guessed letter by letter out of the length of compressed pages (BREACH).
 *
 * @param keys for this purpose alone, newest first; the first signs
 */
export function mintCsrfToken(keys: readonly Buffer[], binding: Binding): string {
  const mask = randomText(MASK_BYTES)
  return `${mask}.${macOf(keys[0] as Buffer, binding, mask)}`
}

/** True for a token that was minted for this binding with any of the keys, compared in constant time (ASVS 5.0 11.2.4). */
export function isCsrfToken(keys: readonly Buffer[], binding: Binding, token: unknown): boolean {
  if (typeof token !== 'string') return false
  const [, mask, mac] = TOKEN.exec(token) ?? []
  if (mask === undefined || mac === undefined) return false
  return keys.some(key => equalText(macOf(key, binding, mask), mac))
}

/** No part can hold the separator, so that two bindings never meet in one text. */
function macOf(key: Buffer, { to, value }: Binding, mask: string): string {
  return hmac(key, `${to}.${value}.${mask}`)
}

/** What a visitor's tokens are bound to: 256 random bits, in a cookie that no script can read. */
export function newNonce(): string {
  return randomText(NONCE_BYTES)
}

/** True for what could be a nonce of ours; anything else in its cookie is as good as nothing. */
export function isNonce(value: string | undefined): value is string {
  return value !== undefined && NONCE.test(value)
}
