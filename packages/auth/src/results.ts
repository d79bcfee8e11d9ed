import type { UserId } from 'coatcheck'
import type { PasswordRefusal } from './passwords/policy.ts'
import type { Refusal } from './throttle/throttle.ts'

/** No: and nobody outside learns why. Answer with 401 and one sentence for all. */
export interface Invalid {
  readonly ok: false
  readonly reason: 'invalid'
}

/** Not looked at. Answer with 429 and `Retry-After`, the same whether or not the account exists. */
export interface Throttled {
  readonly ok: false
  readonly reason: 'throttled'
  /** Seconds. */
  readonly retryAfter: number
}

/** The new password is not taken. Answer with 422 and the sentence. */
export interface Weak extends PasswordRefusal {
  readonly ok: false
  readonly reason: 'weak'
}

/** There is somebody of this name already. */
export interface Taken {
  readonly ok: false
  readonly reason: 'taken'
}

export type LoginResult = { readonly ok: true; readonly userId: UserId } | Invalid | Throttled
export type ReauthenticateResult = { readonly ok: true } | Invalid | Throttled
export type ChangeResult = { readonly ok: true } | Invalid | Throttled | Weak
export type RequestResetResult = { readonly ok: true } | Throttled
export type ResetResult = { readonly ok: true; readonly userId: UserId } | Invalid | Weak
export type HashResult = { readonly ok: true; readonly passwordHash: string } | Weak
export type SignUpResult = HashResult | Invalid | Taken | Throttled

export const OK = Object.freeze({ ok: true })
export const INVALID: Invalid = Object.freeze({ ok: false, reason: 'invalid' })

export const TAKEN: Taken = Object.freeze({ ok: false, reason: 'taken' })

export function throttled({ retryAfter }: Refusal): Throttled {
  return { ok: false, reason: 'throttled', retryAfter }
}

export function weak(refusal: PasswordRefusal): Weak {
  return { ok: false, reason: 'weak', ...refusal }
}
