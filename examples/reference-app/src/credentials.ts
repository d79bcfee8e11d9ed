import type { LoginAttempt, Sessions } from 'coatcheck'
import { verifyPassword } from './passwords.ts'
import type { User, Users } from './users.ts'

/** Whom the credentials prove, and the marks of revocation from before they were looked up. */
export interface Proven {
  readonly user: User
  readonly attempt: LoginAttempt
}

/** No account has this id. The unknown go the same way as the known, step by step. */
const NOBODY = 'nobody'

/**
 * The person whose e-mail address and password these are, or undefined.
 *
 * The attempt is made first, and the account is read (again) after it: if anybody ends this person's sessions, or deletes
 * the account, from there on, `session.login` refuses to land.
 */
export async function proveCredentials(
  { users, sessions }: { readonly users: Users; readonly sessions: Sessions },
  { email, password }: { readonly email: string; readonly password: string },
): Promise<Proven | undefined> {
  const id = users.byEmail(email)?.id ?? NOBODY
  const attempt = await sessions.attempt(id)
  const user = users.byId(id)
  const matches = await verifyPassword(password, user?.passwordHash)
  return user && matches ? { user, attempt } : undefined
}
