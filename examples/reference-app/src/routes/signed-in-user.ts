import { assertSignedIn, CoatcheckError, type Session } from 'coatcheck'
import type { User, Users } from '../users.ts'

/**
 * The account of whoever is signed in. A session whose account is gone is ended: deletion ends sessions, but a database
 * may also be restored from yesterday.
 *
 * @throws CoatcheckError `NOT_AUTHENTICATED`
 */
export async function signedInUser(session: Session, users: Users): Promise<User> {
  assertSignedIn(session)
  const user = users.byId(session.userId)
  if (user !== undefined) return user
  await session.logout()
  throw new CoatcheckError('NOT_AUTHENTICATED', 'The account of this session is gone.')
}
