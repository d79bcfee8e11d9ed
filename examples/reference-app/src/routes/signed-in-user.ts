import { assertSignedIn, CoatcheckError } from 'coatcheck'
import type { Request } from 'express'
import type { User, Users } from '../users.ts'

/**
 * The account of whoever is signed in. A session whose account is gone is ended: deletion ends sessions, but a database
 * may also be restored from yesterday.
 *
 * @throws CoatcheckError `NOT_AUTHENTICATED`
 */
export async function signedInUser(req: Request, users: Users): Promise<User> {
  assertSignedIn(req.session)
  const user = users.byId(req.session.userId)
  if (user !== undefined) return user
  await req.session.logout()
  throw new CoatcheckError('NOT_AUTHENTICATED', 'The account of this session is gone.')
}
