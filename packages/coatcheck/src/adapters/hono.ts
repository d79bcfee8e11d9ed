import type { Context, MiddlewareHandler } from 'hono'
import type { Duration } from '../core/clock.ts'
import { isPromise } from '../core/engine.ts'
import { CoatcheckError } from '../core/errors.ts'
import { type Answer, answerTo } from '../core/guard.ts'
import type { Session, SignedInSession } from '../core/session.ts'
import type { Sessions } from '../core/sessions.ts'
import { responseOf } from '../http/fetch.ts'
import { checkedHops } from '../http/forwarded.ts'
import * as guards from '../http/guards.ts'
import { expose, HonoFacts, HonoVisit, isVisited, refusal, type Settings, socketAddress } from './hono-visit.ts'

export { type Answer, answerTo } from '../core/guard.ts'
export { createSessions } from '../core/sessions.ts'
export { csrfToken } from '../csrf/check.ts'
export type { TokenUse } from '../csrf/options.ts'
// By way of the package's entry, which `declare module 'coatcheck'` can only find in a program that has it.
export type { SessionData } from '../index.ts'
export { type CsrfOptions, csrf } from './hono-csrf.ts'
export type { Session }

/**
 * The context variables behind the middleware. A chain of `new Hono().use(session(sessions)).get(…)` knows them by
 * itself; an app that is built in statements is told: `new Hono<{ Variables: SessionVariables }>()`.
 */
export type SessionVariables<Name extends string = 'session'> = { [Key in Name]: Session }

/** How the middleware may be set. */
export interface SessionMiddlewareOptions<Name extends string = 'session'> {
  /** The context variable that holds the session; 'session' by default. Two engines in one app need two. */
  readonly as?: Name
  /**
   * How many proxies of yours stand before this server. The client's address and scheme are then taken from
   * `X-Forwarded-For` and `X-Forwarded-Proto` as the outermost of them wrote them; 0, the default, believes neither.
   * Too high a number believes what clients write.
   */
  readonly trustProxy?: number
  /** The client's address, where it is not that of the socket, which `@hono/node-server` tells. */
  readonly ip?: (c: Context) => string | undefined
  /**
   * What is sent where the session ends a request: the store cannot be asked, or a save fails. Default: `answerTo`, which
   * says it in JSON. For a page instead; it must not wait, and must not touch the session.
   */
  answer?(error: unknown, c: Context): Answer
}

/** How a guard may be set. */
export interface GuardOptions<Name extends string = 'session'> extends guards.GuardOptions {
  /** What is sent where the guard refuses and does not redirect. Default: `answerTo`, which says it in JSON. */
  answer?(error: unknown, c: Context): Answer
  /** The context variable that holds the session, where it is not 'session'. */
  readonly as?: Name
}

/** How `requireRole` may be set. */
export interface RoleOptions<Name extends string = 'session'> extends GuardOptions<Name>, guards.RoleHook {}

/**
 * The session middleware for Hono 4: `c.var.session`, or `c.get('session')`, behind it.
 *
 * ```ts
 * const app = new Hono().use(session(sessions)).get('/me', c => c.json({ userId: c.var.session.userId }))
 * ```
 *
 * The session is saved before the response is handed on (law 4). If the store cannot be read, the answer is 503 and no
 * handler runs. Mounted twice it does nothing the second time; two engines in one app need two names.
 *
 * @throws CoatcheckError `BAD_OPTION` for a malformed `trustProxy`; `NO_SESSION`, with a request, if another engine has
 *   the variable
 */
export function session<const Name extends string = 'session'>(
  sessions: Sessions,
  options: SessionMiddlewareOptions<Name> = {},
): MiddlewareHandler<{ Variables: SessionVariables<Name> }> {
  const settings = settingsFrom(options)
  return async function session(c, next) {
    if (isVisited(c, settings.name, sessions)) return next()
    const facts = new HonoFacts(c, settings)
    let exchange: ReturnType<Sessions['open']>
    try {
      exchange = sessions.open(c.req.header('Cookie'), facts)
      if (isPromise(exchange)) exchange = await exchange
    } catch (error) {
      return refusal(c, error, settings.answer)
    }
    const visit = new HonoVisit(sessions, c, settings, facts, exchange)
    expose(c, visit)
    await next()
    const leaving = visit.leave()
    if (leaving !== undefined) await leaving
  }
}

function settingsFrom({
  as = 'session',
  trustProxy,
  ip = socketAddress,
  answer = answerTo,
}: SessionMiddlewareOptions<string>): Settings {
  return { name: as, hops: checkedHops(trustProxy), ip, answer }
}

/** Behind a guard the session's type says that somebody is signed in. */
type GuardMiddleware<Name extends string> = MiddlewareHandler<{ Variables: { [Key in Name]: SignedInSession } }>

/**
 * Lets only those pass who are signed in; else 401 (or the login page, see `loginPath`).
 *
 * @throws CoatcheckError `NO_SESSION`, with a request, where no session middleware ran before it
 */
export function requireAuth<const Name extends string = 'session'>(options: GuardOptions<Name> = {}): GuardMiddleware<Name> {
  return middlewareOf(guards.authGuard(options))
}

/**
 * Lets only those pass who have one of these roles; else 401, or 403 for those who are signed in.
 *
 * The role is the session's own `role`, or what `options.role` finds at each request:
 *
 * ```ts
 * app.use('/admin/*', requireRole('admin', { role: session => users.roleOf(session.userId) }))
 * ```
 *
 * @param roles one or more, and then, if wanted, options
 * @throws CoatcheckError `NO_SESSION`, with a request, where no session middleware ran before it
 */
export function requireRole<const Name extends string = 'session'>(
  ...roles: readonly string[] | readonly [...string[], RoleOptions<Name>]
): GuardMiddleware<Name> {
  return middlewareOf(guards.roleGuard<RoleOptions<Name>>(roles))
}

/**
 * Lets only those pass who proved who they are within `maxAge`; else 401, or 403 `REAUTH_REQUIRED`: ask for the password
 * again and call `session.login` (ASVS 5.0 7.5.1).
 *
 * @param maxAge '10m', or milliseconds
 * @param options `loginPath` is here the page that asks again
 * @throws CoatcheckError `BAD_OPTION` for a malformed duration; `NO_SESSION`, with a request, as `requireAuth`
 */
export function requireFresh<const Name extends string = 'session'>(
  maxAge: Duration,
  options: GuardOptions<Name> = {},
): GuardMiddleware<Name> {
  return middlewareOf(guards.freshGuard(maxAge, options))
}

function middlewareOf({ options, check }: guards.Guard<GuardOptions<string>>): MiddlewareHandler {
  const { as: name = 'session', answer = answerTo } = options
  return async (c, next) => {
    const checked = check(sessionOf(c, name))
    const refused = isPromise(checked) ? await checked : checked
    if (refused === undefined) return next()
    return responseOf(guards.loginRedirect(refused, options, guardedRequest(c)) ?? answer(refused, c))
  }
}

function sessionOf(c: Context, name: string): Session {
  const session: Session | undefined = c.get(name)
  if (session !== undefined) return session
  throw new CoatcheckError('NO_SESSION', `There is no c.var.${name}: put session(sessions) before this guard.`)
}

function guardedRequest({ req }: Context): guards.GuardedRequest {
  const { pathname, search } = new URL(req.url)
  return { method: req.method, accept: req.header('Accept'), path: pathname + search }
}
