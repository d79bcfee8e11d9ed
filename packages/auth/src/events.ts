import type { UserId } from 'coatcheck'
import type { Limits } from './throttle/limits.ts'

/** Why a login failed; the person is told the same of all. */
export type LoginFailure =
  | 'unknown-user'
  | 'wrong-password'
  | 'disabled'
  /** The account has no password: it signs in another way, or was never set up. */
  | 'no-password'
  /** The stored string is damaged or of an unknown kind: nobody can sign in with it. */
  | 'unreadable-password'
  /** More than 72 bytes against a bcrypt string: see `acceptTruncatedBcrypt`. The person needs a reset. */
  | 'beyond-bcrypt'

interface Client {
  readonly ip: string | undefined
  readonly userAgent: string | undefined
}

/**
 * What happens in `@coatcheck/auth`, beside the session's own events. None carries a password, a token, or what was
 * typed as identifier: people type passwords there (OWASP Logging Cheat Sheet).
 */
export interface AuthEvents {
  /** A try was looked at and failed (ASVS 5.0 16.3.1). */
  'login.failed': Client & { readonly userId: UserId | undefined; readonly why: LoginFailure }
  /** A try was not looked at. */
  'login.throttled': Client & { readonly userId: UserId | undefined; readonly limit: keyof Limits; readonly retryAfter: number }
  /** Somebody may not sign up for now: too many tries from this address. */
  'sign-up.throttled': Client & { readonly retryAfter: number }
  /**
   * An account has used up what strangers, a known browser or all of them together, or somebody signed in may try in some
   * window; once in each. Tell its owner (ASVS 5.0 6.3.5).
   */
  'login.many-failures': Client & { readonly userId: UserId | undefined }
  /** Somebody signed in from a browser that this account had not used under its present password. Tell its owner (ASVS 5.0 6.3.5). */
  'login.new-device': Client & { readonly userId: UserId; readonly sessionId: string | undefined }
  /** Somebody signed in could not prove it again. */
  'reauthentication.failed': Client & { readonly userId: UserId }
  /** Somebody signed in tried once more after too many failures: not looked at. */
  'reauthentication.throttled': Client & { readonly userId: UserId; readonly retryAfter: number }
  /**
   * A token came long after its session had been given a new one: a thief's copy, or the thief has the new one. `agoMs`
   * is how long ago the person last proved who they are.
   */
  'token.reused': { readonly userId: string; readonly sessionId: string; readonly ip: string | null; readonly agoMs: number }
  /** A password has a new string. Tell its owner of a change or reset (ASVS 5.0 6.3.7). */
  'password.saved': { readonly userId: UserId; readonly why: 'rehash' | 'change' | 'reset' }
  /** A login went on, but the password could not be hashed anew. */
  'rehash.failed': { readonly userId: UserId; readonly error: unknown }
  /** Somebody asked for a reset mail; `userId` where there is an account. */
  'reset.requested': Client & { readonly userId: UserId | undefined }
  /** Too many reset mails were asked for: there is none for this wish. */
  'reset.throttled': Client & { readonly userId: UserId | undefined; readonly limit: keyof Limits; readonly retryAfter: number }
  /** The mail could not be handed on. The person was not told: that would tell who has an account. */
  'reset.unsent': { readonly userId: UserId; readonly error: unknown }
  'account.disabled': { readonly userId: UserId }
  'account.enabled': { readonly userId: UserId }
  /** A try could not be given back, and stays counted until its window ends. */
  'limiter.failed': { readonly error: unknown }
}
