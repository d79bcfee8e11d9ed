import { COMMON_PASSWORDS } from './common-passwords.ts'

/** Why a new password is not taken. */
export type PasswordProblem = 'too-short' | 'too-long' | 'malformed' | 'common' | 'guessable' | 'breached'

/** A refusal, with a sentence for the person who chose the password. */
export interface PasswordRefusal {
  readonly problem: PasswordProblem
  readonly message: string
}

/** What a new password must meet. */
export interface PasswordPolicy {
  /** Characters (Unicode code points) at least. Default 8; tell people to take 15 or more (ASVS 5.0 6.2.1). */
  readonly minLength: number
  /** Words of your product, company and trade, which an attacker tries first (ASVS 5.0 6.1.2, 6.2.11). */
  readonly contextWords: readonly string[]
  /** Asks a list of breached passwords (ASVS 5.0 6.2.12). What it throws ends the change: catch in it what you want to let pass. */
  readonly isBreached: ((password: string) => boolean | Promise<boolean>) | undefined
}

/** Bytes of UTF-8 at most: 4096 characters of any script fit. A bound, so that nobody makes us hash megabytes. */
export const LONGEST_PASSWORD_BYTES = 16_384

/** Shorter words are part of too many others. */
const SHORTEST_WORD = 3

/**
 * The first reason not to take `password`, or undefined if it is fine.
 *
 * There are no rules about kinds of characters, and nothing is trimmed or cut (ASVS 5.0 6.2.5, 6.2.8, 6.2.9). Refused
 * are: fewer than `minLength` characters, more than 16 KiB, text that has no UTF-8, the 10,000 most common passwords, a
 * password in which less than `minLength` is left once the words that anyone can guess are taken out, and what your
 * breach list knows.
 *
 * @param about what is known of the person: e-mail address, name
 */
export async function refuseNewPassword(
  password: string,
  about: readonly string[],
  policy: PasswordPolicy,
): Promise<PasswordRefusal | undefined> {
  const refusal = refuseByRule(password, about, policy)
  if (refusal !== undefined) return refusal
  if ((await policy.isBreached?.(password)) === true) {
    return refused('breached', 'This password was part of a data breach. Please choose another.')
  }
  return undefined
}

function refuseByRule(password: string, about: readonly string[], policy: PasswordPolicy): PasswordRefusal | undefined {
  const { minLength } = policy
  if (!password.isWellFormed()) return refused('malformed', 'This password holds half a character. Please choose another.')
  if (isTooLong(password)) return refused('too-long', `Please choose a password of ${LONGEST_PASSWORD_BYTES} bytes at most.`)
  if (lengthOf(password) < minLength)
    return refused('too-short', `Please choose a password of ${minLength} characters or more; 15 are better.`)
  const folded = fold(password)
  if (commonPasswords().has(folded))
    return refused('common', 'This password is one of the most common ones. Please choose another.')
  if (lengthOf(without(folded, wordsOf([...policy.contextWords, ...about]))) >= minLength) return undefined
  return refused('guessable', 'This password is little more than your name, address or our name. Please choose another.')
}

/** True if a password is longer than anything we take, be it a new one or one to check. */
export function isTooLong(password: string): boolean {
  return password.length > LONGEST_PASSWORD_BYTES || Buffer.byteLength(password) > LONGEST_PASSWORD_BYTES
}

function refused(problem: PasswordProblem, message: string): PasswordRefusal {
  return { problem, message }
}

/** In code points, as NIST SP 800-63B-4 §3.1.1.2 counts. */
function lengthOf(text: string): number {
  return [...text].length
}

/** For comparing with lists only; what is hashed is never folded. */
function fold(text: string): string {
  return text.normalize('NFKC').toLowerCase()
}

/** Each text as a whole and its parts ("jane.doe@acme.org" → jane, doe, acme, org), longest first. */
function wordsOf(texts: readonly string[]): string[] {
  const parts = texts.map(fold).flatMap(text => [text, ...text.split(/[^\p{L}\p{N}]+/u)])
  return parts.filter(part => lengthOf(part) >= SHORTEST_WORD).sort((a, b) => b.length - a.length)
}

function without(text: string, words: readonly string[]): string {
  return words.reduce((rest, word) => rest.replaceAll(word, ''), text)
}

let common: ReadonlySet<string> | undefined

/** Made at the first use: a program that only checks passwords never pays for it. */
function commonPasswords(): ReadonlySet<string> {
  common ??= new Set(COMMON_PASSWORDS.trim().split(/\s+/))
  return common
}
