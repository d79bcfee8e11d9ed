import type { Context, MiddlewareHandler } from 'hono'
import { CoatcheckError } from '../core/errors.ts'
import type { Exchange } from '../core/exchange.ts'
import { type Answer, answerTo } from '../core/guard.ts'
import { type CsrfRequest, checkRequest, TOKEN_FIELD } from '../csrf/check.ts'
import { type CsrfRuleOptions, rulesFrom } from '../csrf/options.ts'
import { responseOf } from '../http/fetch.ts'
import { type HonoVisit, visitOf } from './hono-visit.ts'

/** What `csrf()` takes. */
export interface CsrfOptions extends CsrfRuleOptions {
  /** What is sent to a request that is refused. Default: `answerTo`, which says it in JSON. */
  answer?(error: unknown, c: Context): Answer
  /** The context variable that holds the session, where it is not 'session'. */
  readonly as?: string
}

/**
 * Refuses unsafe requests that another site's page may have sent (CSRF; ASVS 5.0 3.5.1 to 3.5.3): 403 `CROSS_ORIGIN`, or
 * 403 `BAD_CSRF_TOKEN` where a token was needed. Put it right behind `session(sessions)`.
 *
 * ```ts
 * const app = new Hono().use(session(sessions), csrf())
 * ```
 *
 * A form's body is read, and kept for the handler, only where a token decides; a limit to its size is `bodyLimit`'s, which
 * then goes before.
 *
 * @throws CoatcheckError `BAD_OPTION` at once, for a malformed option; `NO_SESSION`, with a request, where no session
 *   middleware ran before it
 */
export function csrf(options: CsrfOptions = {}): MiddlewareHandler {
  const rules = rulesFrom(options)
  const { as: name = 'session', answer = answerTo } = options
  return async function csrf(c, next) {
    const visit = visitOf(c, name)
    if (visit === undefined) throw noSession(name)
    const check = checkRequest(new HonoCsrfRequest(c, visit), rules)
    const refused = check.conclude(check.wantsField ? await fieldOf(c, TOKEN_FIELD) : undefined)
    return refused === undefined ? next() : responseOf(answer(refused, c))
  }
}

function noSession(name: string): CoatcheckError {
  return new CoatcheckError('NO_SESSION', `There is no c.var.${name}: put session(sessions) before csrf().`)
}

class HonoCsrfRequest implements CsrfRequest {
  readonly #c: Context
  readonly #visit: HonoVisit

  constructor(c: Context, visit: HonoVisit) {
    this.#c = c
    this.#visit = visit
  }

  get exchange(): Exchange {
    return this.#visit.exchange
  }

  get method(): string {
    return this.#c.req.method
  }

  get path(): string {
    return this.#c.req.path
  }

  get secure(): boolean {
    return this.#visit.facts.secure()
  }

  /** A `Request` that no server made, as tests have it, has only its address. */
  get host(): string | undefined {
    return this.header('host') ?? new URL(this.#c.req.url).host
  }

  header(name: string): string | undefined {
    return this.#c.req.header(name)
  }

  touch(): void {
    this.#visit.session
  }
}

const FORM = /^(?:application\/x-www-form-urlencoded|multipart\/form-data)\b/i

/** A body that cannot be parsed has no token; what else is wrong with it, the handler will say. */
async function fieldOf({ req }: Context, name: string): Promise<unknown> {
  if (!FORM.test(req.header('content-type') ?? '')) return undefined
  const fields = await req.parseBody().catch(() => undefined)
  return fields?.[name]
}
