import { CoatcheckError } from '../core/errors.ts'
import type { Exchange } from '../core/exchange.ts'
import { type Answer, answerTo } from '../core/guard.ts'
import { type CsrfRequest, checkRequest, TOKEN_FIELD } from '../csrf/check.ts'
import { type CsrfRuleOptions, rulesFrom } from '../csrf/options.ts'
import { sendAnswer } from '../http/answer.ts'
import { slotFor, type Visit, type Visited } from '../http/visit.ts'
import type { Middleware, NodeRequest } from './node.ts'

/** What `csrf()` takes. */
export interface CsrfOptions extends CsrfRuleOptions {
  /** What is sent to a request that is refused. Default: `answerTo`, which says it in JSON. */
  answer?(error: unknown, request: NodeRequest): Answer
  /** The property that holds the session, where it is not 'session'. */
  readonly as?: string
}

/**
 * Refuses unsafe requests that another site's page may have sent (CSRF; ASVS 5.0 3.5.1 to 3.5.3): 403 `CROSS_ORIGIN`, or
 * 403 `BAD_CSRF_TOKEN` where a token was needed. Mount it right behind `session(sessions)`; where forms carry tokens,
 * behind the parser of their bodies, which must leave the fields in `request.body`.
 *
 * ```ts
 * app.use(express.urlencoded(), session(sessions), csrf())
 * ```
 *
 * @throws CoatcheckError `BAD_OPTION` at once, for a malformed option; `NO_SESSION`, with a request, where no session
 *   middleware ran before it
 */
export function csrf(options: CsrfOptions = {}): Middleware {
  const rules = rulesFrom(options)
  const { as: name = 'session', answer = answerTo } = options
  const slot = slotFor(name)
  return function csrf(request, response, next) {
    const visit = (request as NodeRequest & Visited)[slot]
    if (visit?.exchange === undefined) throw noSession(name)
    const check = checkRequest(new NodeCsrfRequest(request, visit, visit.exchange), rules)
    const refused = check.conclude(check.wantsField ? fieldOf(request, TOKEN_FIELD) : undefined)
    if (refused === undefined) return next()
    sendAnswer(response, answer(refused, request))
  }
}

function noSession(name: string): CoatcheckError {
  return new CoatcheckError('NO_SESSION', `There is no request.${name}: mount session(sessions) before csrf().`)
}

class NodeCsrfRequest implements CsrfRequest {
  readonly exchange: Exchange
  readonly #request: NodeRequest
  readonly #visit: Visit

  constructor(request: NodeRequest, visit: Visit, exchange: Exchange) {
    this.exchange = exchange
    this.#request = request
    this.#visit = visit
  }

  get method(): string {
    return this.#request.method ?? ''
  }

  /** The whole path, also inside a mounted sub-app, where `url` is only the rest of it. */
  get path(): string {
    const url = 'originalUrl' in this.#request ? String(this.#request.originalUrl) : (this.#request.url ?? '')
    return url.split('?', 1)[0] ?? ''
  }

  get secure(): boolean {
    return this.#visit.secure()
  }

  get host(): string | undefined {
    return this.header('host') ?? this.header(':authority')
  }

  header(name: string): string | undefined {
    const value = this.#request.headers[name]
    return typeof value === 'object' ? value.join(', ') : value
  }

  touch(): void {
    this.#visit.session
  }
}

/** What a parser has left in `request.body`; only a text, and only the form's own (not of a prototype). */
function fieldOf(request: NodeRequest, name: string): unknown {
  const body: unknown = 'body' in request ? request.body : undefined
  if (typeof body !== 'object' || body === null || !Object.hasOwn(body, name)) return undefined
  return Reflect.get(body, name)
}
