import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import { isIP } from 'node:net'
import type { Duration } from '../core/clock.ts'
import { isPromise } from '../core/engine.ts'
import { CoatcheckError } from '../core/errors.ts'
import { type Answer, answerTo } from '../core/guard.ts'
import type { Session } from '../core/session.ts'
import type { Sessions } from '../core/sessions.ts'
import { sendAnswer } from '../http/answer.ts'
import { checkedHops, forwarded } from '../http/forwarded.ts'
import * as guards from '../http/guards.ts'
import type { NodeResponse } from '../http/node-response.ts'
import { isVisited, type Next, sessionProperty, slotFor, Visit, type Visited } from '../http/visit.ts'

export { type Answer, answerTo } from '../core/guard.ts'
export { createSessions } from '../core/sessions.ts'
export { csrfToken } from '../csrf/check.ts'
export type { TokenUse } from '../csrf/options.ts'
export type { Next } from '../http/visit.ts'
// By way of the package's entry, which `declare module 'coatcheck'` can only find in a program that has it.
export type { Session, SessionData } from '../index.ts'
export { type CsrfOptions, csrf } from './node-csrf.ts'

/** A request of `node:http`, `node:https` or `node:http2`. */
export type NodeRequest = IncomingMessage | Http2ServerRequest
/** Its response. */
export type NodeServerResponse = ServerResponse | Http2ServerResponse
/** What connect and its kin mount: it answers, or goes on with `next`. */
export type Middleware = (request: NodeRequest, response: NodeServerResponse, next: Next) => unknown

/** A request behind the middleware. */
export type RequestWithSession<Request = IncomingMessage, Name extends string = 'session'> = Request & {
  readonly [Key in Name]: Session
}

/** How the middleware may be set. */
export interface SessionMiddlewareOptions {
  /** The property of the request that holds the session; 'session' by default. Two engines in one app need two. */
  readonly as?: string
  /**
   * How many proxies of yours stand before this server. The client's address and scheme are then taken from
   * `X-Forwarded-For` and `X-Forwarded-Proto` as the outermost of them wrote them; 0, the default, believes neither.
   * Too high a number believes what clients write.
   */
  readonly trustProxy?: number
  /**
   * What is sent where the session ends a request: the store cannot be asked, or a save fails. Default: `answerTo`, which
   * says it in JSON. For a page instead; it must not wait, and must not touch the session.
   */
  answer?(error: unknown, request: NodeRequest): Answer
}

/** How a guard may be set. */
export interface GuardOptions extends guards.GuardOptions {
  /** What is sent where the guard refuses and does not redirect. Default: `answerTo`, which says it in JSON. */
  answer?(error: unknown, request: NodeRequest): Answer
}

/** How `requireRole` may be set. */
export interface RoleOptions extends GuardOptions, guards.RoleHook {}

/**
 * The session middleware for `node:http`, `https`, `http2`, connect and what is like it: `request.session` behind it.
 *
 * The session is saved before the first byte of the response leaves (law 4). If the store cannot be read, the answer is
 * 503 and `next` is not called. Mounted twice it does nothing the second time.
 *
 * @throws CoatcheckError `NO_SESSION`, with a request, if another middleware has the property
 */
export function session(sessions: Sessions, options: SessionMiddlewareOptions = {}): Middleware {
  const { as: name = 'session', answer } = options
  const hops = checkedHops(options.trustProxy)
  const slot = slotFor(name)
  const property = sessionProperty(name, slot)
  return function session(request, response, next) {
    const visited = request as NodeRequest & Visited
    if (isVisited(visited, slot, name, sessions)) return next()
    const visit = new NodeVisit(sessions, request, response, next, hops, answer)
    visited[slot] = visit
    Object.defineProperty(request, name, property)
    return visit.start(request.headers.cookie)
  }
}

class NodeVisit extends Visit {
  readonly #request: NodeRequest
  readonly #hops: number

  constructor(
    sessions: Sessions,
    request: NodeRequest,
    response: NodeResponse,
    next: Next,
    hops: number,
    answer: SessionMiddlewareOptions['answer'],
  ) {
    super(sessions, response, next, answer && (error => answer(error, request)))
    this.#request = request
    this.#hops = hops
  }

  secure(): boolean {
    const told = this.#forwarded('x-forwarded-proto')
    return told === undefined ? 'encrypted' in this.#request.socket && this.#request.socket.encrypted === true : told === 'https'
  }

  ip(): string | undefined {
    const told = this.#forwarded('x-forwarded-for')
    return told !== undefined && isIP(told) > 0 ? told : this.#request.socket.remoteAddress
  }

  userAgent(): string | undefined {
    return this.#request.headers['user-agent']
  }

  proxySetting(): string {
    return 'session(sessions, { trustProxy: 1 })'
  }

  #forwarded(header: 'x-forwarded-for' | 'x-forwarded-proto'): string | undefined {
    const value = this.#request.headers[header]
    return forwarded(typeof value === 'object' ? value.join() : value, this.#hops)
  }
}

/** A handler of `http.createServer` behind the middleware. */
export type SessionHandler<Request extends NodeRequest, Response extends NodeServerResponse> = (
  request: RequestWithSession<Request>,
  response: Response,
) => unknown

/**
 * A request listener with sessions, for a server without a framework.
 *
 * ```ts
 * createServer(withSession(sessions, async (request, response) => {
 *   request.session.visits = (request.session.visits ?? 0) + 1
 *   response.end(`visit ${request.session.visits}`)
 * }))
 * ```
 *
 * @returns a listener that returns what the handler returned, so that it can be awaited. A mistake that is found too late
 *   for the handler to hear of it (`IDENTITY_CHANGED`, or `RESPONSE_STARTED` after the first byte) is a process warning.
 */
export function withSession<Request extends NodeRequest = IncomingMessage, Response extends NodeServerResponse = ServerResponse>(
  sessions: Sessions,
  handler: SessionHandler<Request, Response>,
  options: Pick<SessionMiddlewareOptions, 'trustProxy' | 'answer'> = {},
): (request: Request, response: Response) => unknown {
  const enter = session(sessions, options)
  return (request, response) =>
    enter(request, response, error => {
      if (error === undefined) return handler(request as RequestWithSession<Request>, response)
      process.emitWarning(error instanceof Error ? error : String(error))
    })
}

/**
 * Lets only those pass who are signed in; else 401 (or the login page, see `loginPath`).
 *
 * @throws CoatcheckError `NO_SESSION`, with a request, where no session middleware ran before it
 */
export function requireAuth(options: GuardOptions = {}): Middleware {
  return middlewareOf(guards.authGuard(options))
}

/**
 * Lets only those pass who have one of these roles; else 401, or 403 for those who are signed in.
 *
 * The role is the session's own `role`, or what `options.role` finds at each request:
 *
 * ```ts
 * app.use('/admin', requireRole('admin', { role: session => users.roleOf(session.userId) }))
 * ```
 *
 * @param roles one or more, and then, if wanted, options
 * @throws CoatcheckError `NO_SESSION`, with a request, where no session middleware ran before it
 */
export function requireRole(...roles: readonly string[] | readonly [...string[], RoleOptions]): Middleware {
  return middlewareOf(guards.roleGuard<RoleOptions>(roles))
}

/**
 * Lets only those pass who proved who they are within `maxAge`; else 401, or 403 `REAUTH_REQUIRED`: ask for the password
 * again and call `session.login` (ASVS 5.0 7.5.1).
 *
 * @param maxAge '10m', or milliseconds
 * @param options `loginPath` is here the page that asks again
 * @throws CoatcheckError `BAD_OPTION` for a malformed duration; `NO_SESSION`, with a request, as `requireAuth`
 */
export function requireFresh(maxAge: Duration, options: GuardOptions = {}): Middleware {
  return middlewareOf(guards.freshGuard(maxAge, options))
}

function middlewareOf({ options, check }: guards.Guard<GuardOptions>): Middleware {
  const { as: name = 'session', answer = answerTo } = options
  const answerFor = (refused: CoatcheckError, request: NodeRequest) =>
    guards.loginRedirect(refused, options, guardedRequest(request)) ?? answer(refused, request)
  return (request, response, next) => {
    const refused = check(sessionOf(request, name))
    if (isPromise(refused)) {
      const said = refused.then(told => told && answerFor(told, request))
      // Express 4 looks at no promise: what goes wrong is told by `next`.
      return said.then(told => (told === undefined ? next() : sendAnswer(response, told)), next)
    }
    return refused === undefined ? next() : sendAnswer(response, answerFor(refused, request))
  }
}

function sessionOf(request: NodeRequest, name: string): Session {
  const session: unknown = Reflect.get(request, name)
  if (session !== undefined) return session as Session
  throw new CoatcheckError('NO_SESSION', `There is no req.${name}: mount session(sessions) before this guard.`)
}

/** With the whole path, also inside a mounted sub-app, where `url` is only the rest of it. */
function guardedRequest(request: NodeRequest): guards.GuardedRequest {
  const path = 'originalUrl' in request ? String(request.originalUrl) : (request.url ?? '/')
  return { method: request.method, accept: request.headers.accept, path }
}
