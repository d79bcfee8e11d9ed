import { randomBytes } from 'node:crypto'
import type { Auth } from '@coatcheck/auth'
import { type FirstAccount, SettingsError } from './settings.ts'
import type { Users } from './users.ts'

/** An account that was just made; `password` is there if nobody knows it yet. */
export interface MadeAccount {
  readonly role: FirstAccount['role']
  readonly email: string
  readonly password: string | undefined
}

/**
 * Makes the first accounts in an empty database, with random passwords where none were given: there are no default
 * accounts (ASVS 5.0 6.3.2). Empty if there were accounts already.
 *
 * @throws SettingsError for a given password that is too easy to guess
 */
export async function makeFirstAccounts(
  users: Users,
  auth: Auth,
  accounts: readonly FirstAccount[],
): Promise<readonly MadeAccount[]> {
  if (users.count() > 0) return []
  const drafts = accounts.map(({ role, email, password }) => ({
    role,
    email,
    given: password,
    chosen: password ?? randomPassword(),
  }))
  const rows = await Promise.all(
    drafts.map(async ({ role, email, chosen }) => ({ role, email, passwordHash: await hashed(auth, role, chosen) })),
  )
  if (!users.addFirst(rows)) return []
  return drafts.map(({ role, email, given, chosen }) => ({ role, email, password: given === undefined ? chosen : undefined }))
}

async function hashed(auth: Auth, role: string, password: string): Promise<string> {
  const result = await auth.hashPassword(password)
  if (result.ok) return result.passwordHash
  throw new SettingsError(`${role.toUpperCase()}_PASSWORD: ${result.message}`)
}

/** 120 random bits, to be typed once and then changed or kept in a password manager. */
function randomPassword(): string {
  return randomBytes(15).toString('base64url')
}
