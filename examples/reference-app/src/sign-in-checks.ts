import { type Auth, createAuth, type LimiterOption } from '@coatcheck/auth'
import type { Sessions } from 'coatcheck'
import type { SendMail } from './mail.ts'
import type { Users } from './users.ts'

/** What somebody should do who hears of a change that they did not make. */
export const NOT_YOU = 'If that was not you, ask for a new password on our site, and tell us.'

export interface SignInOptions {
  readonly users: Users
  readonly sessions: Sessions
  readonly limiter: LimiterOption
  readonly sendMail: SendMail
  /** The link by which somebody sets a new password; throws where the app does not know its own address. */
  resetUrl(token: string): string
}

/** `@coatcheck/auth` over the app's own accounts. */
export function signInChecks({ users, sessions, limiter, sendMail, resetUrl }: SignInOptions): Auth {
  const auth = createAuth({
    sessions,
    limiter,
    // What anybody would guess of this very app (ASVS 5.0 6.1.2): put your own names here.
    passwords: { contextWords: ['coatcheck'] },
    findUser: email => users.byEmail(email),
    findCredentials: id => credentialsOf(users, String(id)),
    savePassword: ({ userId, passwordHash, replaces }) => users.savePassword({ userId: String(userId), passwordHash, replaces }),
    disableUser: id => users.setDisabled(String(id), true),
    enableUser: id => users.setDisabled(String(id), false),
    async sendReset({ userId, token }) {
      const user = users.byId(String(userId))
      if (user !== undefined) await sendMail({ to: user.email, text: `choose a new password at ${resetUrl(token)}` })
    },
  })
  auth.on('reset.unsent', ({ error }) => console.error('A reset mail could not be sent:', error))
  auth.on('password.saved', ({ userId, why }) => (why === 'rehash' ? undefined : tellOwner(users, sendMail, String(userId))))
  return auth
}

/** Of a change that a thief may have made (ASVS 5.0 6.3.7). It has happened already: a failure is for the log. */
async function tellOwner(users: Users, sendMail: SendMail, userId: string): Promise<void> {
  const user = users.byId(userId)
  if (user === undefined) return
  try {
    await sendMail({ to: user.email, text: `your password has been changed. ${NOT_YOU}` })
  } catch (error) {
    console.error('A notice of a changed password could not be sent:', error)
  }
}

function credentialsOf(users: Users, id: string) {
  const user = users.byId(id)
  if (user === undefined) return undefined
  const { passwordHash, disabled, email, role } = user
  return { passwordHash, disabled, about: [email], data: { role } }
}
