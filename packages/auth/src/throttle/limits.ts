import type { Duration } from 'coatcheck'
import type { Window } from './counter.ts'

/** So many tries in a window that begins with the first of them. */
export interface Limit {
  readonly tries: number
  readonly per: Duration
}

/**
 * How many wrong passwords are looked at. Where a list has several limits, all of them hold: short windows end soon,
 * long ones make the wait grow with persistence.
 */
export interface Limits {
  /** From one address (IPv6: one /64), whoever is meant. */
  readonly perIp: readonly Limit[]
  /** From one address against one account; a correct password starts it anew. */
  readonly perAccountAndIp: readonly Limit[]
  /** Against one account from all addresses together; and once more, by itself, from all browsers that it knows. */
  readonly perAccount: readonly Limit[]
  /** From one browser in which the person has signed in before; it meets none of what strangers fill. */
  readonly perDevice: readonly Limit[]
  /** Wrong passwords at step-up and password change. */
  readonly perReauthentication: readonly Limit[]
  /** Reset mails to one account, and asked for from one address. Here every try counts. */
  readonly perResetAccount: readonly Limit[]
  readonly perResetIp: readonly Limit[]
  /** Sign-ups from one address. Here too every try counts. */
  readonly perSignUpIp: readonly Limit[]
}

/**
 * The defaults. Against one account at most 100 wrong tries a day from strangers, as NIST SP 800-63B-4 §3.2.2 asks, and
 * first ten, then thirty before the wait becomes long; a known browser is not touched by that.
 */
export const DEFAULT_LIMITS: Limits = {
  perIp: [{ tries: 100, per: '1d' }],
  perAccountAndIp: [{ tries: 10, per: '1h' }],
  perAccount: [
    { tries: 10, per: '1m' },
    { tries: 30, per: '1h' },
    { tries: 100, per: '1d' },
  ],
  perDevice: [{ tries: 10, per: '1h' }],
  perReauthentication: [{ tries: 10, per: '1h' }],
  perResetAccount: [{ tries: 3, per: '1h' }],
  perResetIp: [{ tries: 20, per: '1h' }],
  perSignUpIp: [{ tries: 100, per: '1h' }],
}

/** Guesses against one account a day that NIST SP 800-63B-4 §3.2.2 allows. */
const MOST_A_DAY = 100
const DAY_SECONDS = 86_400

/** True if more guesses a day against one account would be looked at than NIST allows. */
export function isLoose(perAccount: readonly Window[]): boolean {
  return !perAccount.some(({ tries, seconds }) => tries * Math.max(1, DAY_SECONDS / seconds) <= MOST_A_DAY)
}
