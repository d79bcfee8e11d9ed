import { hashPassword, randomPassword } from './passwords.ts'
import type { FirstAccount } from './settings.ts'
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
 */
export async function makeFirstAccounts(users: Users, accounts: readonly FirstAccount[]): Promise<readonly MadeAccount[]> {
  if (users.count() > 0) return []
  const drafts = accounts.map(({ role, email, password }) => ({
    role,
    email,
    given: password,
    chosen: password ?? randomPassword(),
  }))
  const rows = await Promise.all(
    drafts.map(async ({ role, email, chosen }) => ({ role, email, passwordHash: await hashPassword(chosen) })),
  )
  if (!users.addFirst(rows)) return []
  return drafts.map(({ role, email, given, chosen }) => ({ role, email, password: given === undefined ? chosen : undefined }))
}
