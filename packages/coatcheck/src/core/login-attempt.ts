import { CoatcheckError } from './errors.ts'
import { EPOCH_KEPT_MS, type Marks } from './store.ts'

/**
 * The marks of revocation as they were before a login's credentials were looked up. A login that carries it lands only
 * if nobody ended the person's sessions, or everybody's, since then.
 */
export interface LoginAttempt extends Marks {
  readonly userId: string
  /** When the marks were read, in milliseconds since the epoch. */
  readonly madeAt: number
}

/**
 * The attempt if it still counts for `userId`.
 *
 * @throws CoatcheckError `LOGIN_EXPIRED` if it is older than ten minutes (the store has forgotten what it must be
 *   compared with), `BAD_IDENTITY` if it was made for somebody else
 */
export function checkedAttempt(attempt: LoginAttempt, userId: string, now: number): LoginAttempt {
  if (attempt.userId !== userId) {
    throw new CoatcheckError(
      'BAD_IDENTITY',
      'The login attempt was made for another user id. Call sessions.attempt(userId) with the id that login gets.',
    )
  }
  if (now - attempt.madeAt < EPOCH_KEPT_MS) return attempt
  throw new CoatcheckError('LOGIN_EXPIRED', 'The credentials were checked more than ten minutes ago. Ask for them again.')
}

/** Only the marks, as they go into a record. */
export function marksOf({ userEpoch, generation }: Marks): Marks {
  return { userEpoch, generation }
}
