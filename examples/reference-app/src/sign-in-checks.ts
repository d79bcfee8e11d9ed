import { type Auth, createAuth, type LimiterOption } from '@coatcheck/auth'
import type { Sessions } from 'coatcheck'
import type { Users } from './users.ts'

/** A mail with a link by which somebody sets a new password. */
export interface ResetMail {
  readonly to: string
  readonly token: string
}

export interface SignInOptions {
  readonly users: Users
  readonly sessions: Sessions
  readonly limiter: LimiterOption
  /** Throws where the mail cannot be handed on; nobody outside is told. */
  sendReset(mail: ResetMail): void | Promise<void>
}

/** `@coatcheck/auth` over the app's own accounts. */
export function signInChecks({ users, sessions, limiter, sendReset }: SignInOptions): Auth {
  const auth = createAuth({
    sessions,
    limiter,
    findUser: email => users.byEmail(email),
    findCredentials: id => credentialsOf(users, String(id)),
    savePassword: ({ userId, passwordHash, replaces }) => users.savePassword({ userId: String(userId), passwordHash, replaces }),
    disableUser: id => users.setDisabled(String(id), true),
    async sendReset({ userId, token }) {
      const user = users.byId(String(userId))
      if (user !== undefined) await sendReset({ to: user.email, token })
    },
  })
  auth.on('reset.unsent', ({ error }) => console.error('A reset mail could not be sent:', error))
  return auth
}

function credentialsOf(users: Users, id: string) {
  const user = users.byId(id)
  if (user === undefined) return undefined
  const { passwordHash, disabled, email, role } = user
  return { passwordHash, disabled, about: [email], data: { role } }
}
