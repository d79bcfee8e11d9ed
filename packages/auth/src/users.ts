import type { Bag, MaybePromise, UserId } from 'coatcheck'

/** What is stored of a person's password, and whether they may sign in at all. */
export interface Credentials {
  /** The string that `hashPassword` made, or bcrypt's, or scrypt's; null where there is no password yet. */
  readonly passwordHash: string | null
  /** True (or 1) for an account that may not sign in. */
  readonly disabled?: boolean | number | null
  /** What is known of the person (e-mail address, name): it makes no good password, and a change of it voids reset mails. */
  readonly about?: readonly string[]
  /** What the session begins with, in the same write as the login: the role, above all. */
  readonly data?: Bag
}

/** A password string to be stored. */
export interface PasswordToSave {
  readonly userId: UserId
  readonly passwordHash: string
  /** The string that it takes the place of; null where there was none. */
  readonly replaces: string | null
  /** `rehash`: the same password, by today's setting. */
  readonly why: 'rehash' | 'change' | 'reset'
}

/** A reset mail to be sent. */
export interface ResetToSend {
  readonly userId: UserId
  /** Goes into the link of the mail and nowhere else. 100 to 500 characters that need no escaping in an URL. */
  readonly token: string
  readonly expiresAt: Date
}

/**
 * Your users, as far as signing in needs them. There is no schema of ours.
 *
 * Who a person is (`findUser`) and what proves it (`findCredentials`) are two questions on purpose: between them the
 * marks of revocation are read, so that a password that is changed or an account that is disabled at that very moment
 * is never outrun by a login that has already fetched the old string.
 */
export interface Users {
  /** Whom an identifier names: `SELECT id FROM users WHERE email = ?`. Nothing if nobody. */
  findUser(identifier: string): MaybePromise<{ readonly id: UserId } | undefined | null>
  /**
   * What is stored for this id now: `SELECT password_hash AS "passwordHash", disabled FROM users WHERE id = ?`.
   *
   * Ask the database that is written to, not a cache or a replica: what they have forgotten to hear is a way in.
   */
  findCredentials(userId: UserId): MaybePromise<Credentials | undefined | null>
  /**
   * Stores a password string **if the stored one is still `replaces`**, and says whether it was:
   * `UPDATE users SET password_hash = ? WHERE id = ? AND password_hash IS NOT DISTINCT FROM ?` changed one row.
   *
   * Without that condition a rehash at login could undo a password change made at the same moment, and a reset link
   * could be used twice.
   */
  savePassword(password: PasswordToSave): MaybePromise<boolean>
  /** Sends the reset mail, or hands it to your queue. Needed by `requestReset` and `startReset`. */
  sendReset?(reset: ResetToSend): MaybePromise<void>
  /** Marks the account so that `findCredentials` says `disabled`. Needed by `disable`. */
  disableUser?(userId: UserId): MaybePromise<void>
  /** Takes that mark away. Needed by `enable`. */
  enableUser?(userId: UserId): MaybePromise<void>
}
