import type { LoginFailure } from './events.ts'
import type { Verdict } from './passwords/hasher.ts'
import { isTooLong } from './passwords/policy.ts'
import type { Credentials } from './users.ts'

const LONGEST_IDENTIFIER = 1024

/** What a login form sends. */
export interface Typed {
  readonly identifier: string
  readonly password: string
}

/**
 * True if identifier and password are texts that could belong to somebody. Judged without looking at anybody, so that
 * it tells nothing; it keeps objects, megabytes and NULs away from your database.
 */
export function isUsable(identifier: unknown, password: unknown): boolean {
  return isUsableIdentifier(identifier) && isUsablePassword(password)
}

export function isUsableIdentifier(identifier: unknown): identifier is string {
  if (typeof identifier !== 'string' || identifier === '' || identifier.length > LONGEST_IDENTIFIER) return false
  return identifier.isWellFormed() && !identifier.includes('\0')
}

export function isUsablePassword(password: unknown): password is string {
  return typeof password === 'string' && !isTooLong(password)
}

/**
 * The name under which tries are counted by what was typed. Coarser than databases' ideas of equal texts: without case
 * (`ß` is `SS`), accents, white space and invisible characters, so that no spelling opens a bucket of its own.
 */
export function foldIdentifier(identifier: string): string {
  return identifier
    .normalize('NFKD')
    .toLowerCase()
    .toUpperCase()
    .replace(/[\p{M}\p{C}\s]/gu, '')
}

/** Why these credentials sign nobody in; undefined if they do. The hash was computed in every case. */
export function failureOf(credentials: Credentials | undefined, verdict: Verdict): LoginFailure | undefined {
  if (credentials === undefined) return 'unknown-user'
  if (credentials.disabled) return 'disabled'
  if (credentials.passwordHash === null) return 'no-password'
  return failureOfVerdict[verdict]
}

const failureOfVerdict: Readonly<Record<Verdict, LoginFailure | undefined>> = {
  match: undefined,
  mismatch: 'wrong-password',
  unreadable: 'unreadable-password',
  'beyond-bcrypt': 'beyond-bcrypt',
}
