import type { Auth } from '@coatcheck/auth'
import type { Sessions } from 'coatcheck'
import { csrf, session } from 'coatcheck/express'
import express, { type Express } from 'express'
import helmet from 'helmet'
import { assetRoutes } from './assets.ts'
import type { SendMail } from './mail.ts'
import { errorHandler, nothingHere, type SayError, sayErrors } from './refusals.ts'
import { accountRoutes } from './routes/account.ts'
import { adminRoutes } from './routes/admin.ts'
import { homeRoutes } from './routes/home.ts'
import { resetRoutes } from './routes/reset.ts'
import { settingsRoutes } from './routes/settings.ts'
import { signInRoutes } from './routes/sign-in.ts'
import { signUpRoutes } from './routes/sign-up.ts'
import type { Settings } from './settings.ts'
import type { Users } from './users.ts'

/** What the routes work with. */
export interface Context {
  readonly users: Users
  readonly sessions: Sessions
  readonly auth: Auth
  readonly sendMail: SendMail
  readonly freshFor: Settings['freshFor']
  /** How the guards of a route say no. */
  readonly say: SayError
}

export type AppOptions = Pick<Context, 'users' | 'sessions' | 'auth' | 'sendMail' | 'freshFor'> &
  Pick<Settings, 'production' | 'trustProxy'>

/** Larger than any form of ours, also with a long password in which every byte is percent-encoded. */
const LARGEST_BODY = '64kb'

/** The whole application, without a server. */
export function createApp({ users, sessions, auth, sendMail, freshFor, production, trustProxy }: AppOptions): Express {
  const context: Context = { users, sessions, auth, sendMail, freshFor, say: sayErrors(users) }
  const app = express().disable('x-powered-by').set('trust proxy', trustProxy)
  app.use(securityHeaders(production), assetRoutes())
  app.use(express.json({ limit: LARGEST_BODY }), express.urlencoded({ extended: false, limit: LARGEST_BODY }))
  app.use(
    session(sessions, { answer: context.say }),
    csrf({ answer: (error, req) => context.say(error, req as express.Request) }),
  )
  app.use(homeRoutes(context), signUpRoutes(context), signInRoutes(context), accountRoutes(context))
  app.use(settingsRoutes(context), resetRoutes(context), adminRoutes(context))
  return app.use(nothingHere, errorHandler(context.say))
}

/** Nothing but our own style sheet, pictures and forms; no script at all. */
function securityHeaders(production: boolean): express.RequestHandler {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'"],
        formAction: ["'self'"],
        baseUri: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    // With `no-referrer` a browser says `Origin: null` on our own forms over plain http.
    referrerPolicy: { policy: 'same-origin' },
    xFrameOptions: { action: 'deny' },
    // A development server must not bind `localhost` to https.
    strictTransportSecurity: production && { maxAge: 31_536_000, includeSubDomains: true },
  })
}
