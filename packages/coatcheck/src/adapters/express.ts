import { IncomingMessage } from 'node:http'
import type { Request, RequestHandler } from 'express'
import { CoatcheckError } from '../core/errors.ts'
import type { Answer } from '../core/guard.ts'
import type { Session } from '../core/session.ts'
import type { Sessions } from '../core/sessions.ts'
import { holdEarly } from '../http/hold.ts'
import type { NodeResponse } from '../http/node-response.ts'
import { isVisited, type Next, sessionProperty, slotFor, Visit, type Visited } from '../http/visit.ts'
import type { SessionMiddlewareOptions } from './node.ts'

export { createSessions } from '../core/sessions.ts'
export { csrfToken } from '../csrf/check.ts'
export type { TokenUse } from '../csrf/options.ts'
// By way of the package's entry, which `declare module 'coatcheck'` can only find in a program that has it.
export type { Session, SessionData } from '../index.ts'
export {
  type Answer,
  answerTo,
  type CsrfOptions,
  csrf,
  type GuardOptions,
  type RoleOptions,
  requireAuth,
  requireFresh,
  requireRole,
} from './node.ts'

declare global {
  namespace Express {
    interface Request {
      /** This request's session; there where `session(sessions)` is mounted. */
      readonly session: Session
    }
  }
}

/** How the middleware may be set. Address and scheme follow Express' own `trust proxy`. */
export interface ExpressSessionOptions extends Pick<SessionMiddlewareOptions, 'as'> {
  /** As in `SessionMiddlewareOptions`, with Express' request. */
  answer?(error: unknown, request: Request): Answer
}

/**
 * The session middleware for Express 4 and 5: `req.session` behind it, in mounted sub-apps and error handlers too.
 *
 * ```ts
 * app.use(session(sessions))
 * ```
 *
 * The session is saved before the first byte of the response leaves (law 4). If the store cannot be read, the answer is
 * 503 and no handler runs. Mounted twice it does nothing the second time; two engines in one app need two names.
 *
 * @throws CoatcheckError `NO_SESSION`, to Express' error handlers, if another middleware has the property
 */
export function session(sessions: Sessions, options: ExpressSessionOptions = {}): RequestHandler {
  const { as: name = 'session', answer } = options
  const slot = slotFor(name)
  const property = sessionProperty(name, slot)
  let known: object | null = null

  function expose(request: Request, response: NodeResponse): void {
    const prototype = Object.getPrototypeOf(request) as object | null
    if (prototype === known) return
    if (!(slot in request)) exposeOn(topmostOf(request), name, slot, property)
    holdEarly(response)
    known = prototype
  }

  return function session(req, res, next) {
    const visited = req as Request & Visited
    if (isVisited(visited, slot, name, sessions)) return next()
    expose(req, res)
    const visit = new ExpressVisit(sessions, req, res, next, answer)
    visited[slot] = visit
    // Express 5 looks at a promise's rejection; there is none: what fails is answered.
    visit.start(req.headers.cookie)
  }
}

/**
 * Express' own prototype of all requests. A property there costs a request nothing, and is seen wherever the request is
 * passed on to: a sub-app gives it another prototype, and takes that away again before the parent's error handler runs.
 */
function topmostOf(request: Request): object {
  let object: object = request
  for (;;) {
    const parent = Object.getPrototypeOf(object) as object | null
    if (parent === null || parent === IncomingMessage.prototype) return object
    object = parent
  }
}

/** The slot on the prototype says that the property is ours, and is what a request without a visit finds. */
function exposeOn(prototype: object, name: string, slot: symbol, property: PropertyDescriptor): void {
  if (Object.hasOwn(prototype, name)) throw taken(name)
  Object.defineProperty(prototype, name, property)
  Object.defineProperty(prototype, slot, { value: undefined, writable: true, configurable: true })
}

function taken(name: string): CoatcheckError {
  return new CoatcheckError(
    'NO_SESSION',
    `Express' requests have a property '${name}' already. Choose another one: session(sessions, { as: … }).`,
  )
}

class ExpressVisit extends Visit {
  readonly #request: Request

  constructor(sessions: Sessions, request: Request, response: NodeResponse, next: Next, answer: ExpressSessionOptions['answer']) {
    super(sessions, response, next, answer && (error => answer(error, request)))
    this.#request = request
  }

  secure(): boolean {
    return this.#request.secure
  }

  ip(): string | undefined {
    return this.#request.ip
  }

  userAgent(): string | undefined {
    return this.#request.headers['user-agent']
  }

  proxySetting(): string {
    return "app.set('trust proxy', 1)"
  }
}
