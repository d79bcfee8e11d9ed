import { CoatcheckError } from '../core/errors.ts'
import { parseOrigin } from './origin.ts'

/**
 * What tokens are for:
 * - `'accepted'`: a valid one stands for headers that an old browser or another program does not send
 * - `'required'`: each unsafe request needs a valid one beside headers that pass (defence in depth)
 * - `'off'`: headers alone decide, and no `csrf-token` cookie is sent
 */
export type TokenUse = 'accepted' | 'required' | 'off'

/** What every framework's `csrf()` takes. Checked once, when it is called. */
export interface CsrfRuleOptions {
  /**
   * Other origins whose pages may send unsafe requests, exactly as browsers serialize them: `https://app.example.com`. No
   * path, no wildcard, no `null`. Your own origin belongs here if a proxy hides it (another `Host`, another scheme).
   */
  readonly trustedOrigins?: readonly string[]
  /**
   * Routes that are not checked at all, each as method and exact path: `POST /saml/acs`. For posts that another site sends
   * by protocol (SAML, Sign in with Apple).
   *
   * **Warning:** such a route must prove by other means that the person in front of the browser began it: a signed
   * `state` or `RelayState` that is bound to this very browser.
   */
  readonly exempt?: readonly string[]
  /** Default `'accepted'`. */
  readonly tokens?: TokenUse
}

/** The options, checked. */
export interface CsrfRules {
  readonly trustedOrigins: ReadonlySet<string>
  readonly exempt: ReadonlySet<string>
  readonly tokens: TokenUse
}

const TOKEN_USES: readonly unknown[] = ['accepted', 'required', 'off'] satisfies readonly TokenUse[]
/** A method, a blank, and a path that holds nothing of a pattern or a query. */
const ROUTE = /^[A-Z]+ \/[\w.~!$&',;=@:%+/-]*$/
/** What is never checked, and a parameter. */
const NO_ROUTE = /^(?:GET|HEAD|OPTIONS) |\/:/

/**
 * Checks the options and fills in the defaults.
 *
 * @throws CoatcheckError `BAD_OPTION`, at start-up, naming the option and the remedy
 */
export function rulesFrom(options: CsrfRuleOptions): CsrfRules {
  return Object.freeze({
    trustedOrigins: new Set(listOf(options.trustedOrigins, 'trustedOrigins').map(checkedOrigin)),
    exempt: new Set(listOf(options.exempt, 'exempt').map(checkedRoute)),
    tokens: checkedUse(options.tokens ?? 'accepted'),
  })
}

function bad(message: string): CoatcheckError {
  return new CoatcheckError('BAD_OPTION', message)
}

/** A string is a list of characters to JavaScript: `trustedOrigins: 'https://…'` must not pass as a list of letters. */
function listOf(option: unknown, name: string): readonly unknown[] {
  if (option === undefined) return []
  if (Array.isArray(option)) return option
  throw bad(`csrf: ${name} must be a list of strings; got ${typeof option}.`)
}

function checkedOrigin(origin: unknown): string {
  const serialized = typeof origin === 'string' ? parseOrigin(origin) : undefined
  if (serialized !== undefined && serialized === origin) return serialized
  const meant = serialized ?? 'https://app.example.com'
  throw bad(
    `csrf: trustedOrigins takes exact origins as browsers write them, such as '${meant}'; got ${JSON.stringify(origin)}. ` +
      `Scheme and host in lower case, the port only where it is not the scheme's own, no path, no wildcard.`,
  )
}

function checkedRoute(route: unknown): string {
  if (typeof route === 'string' && ROUTE.test(route) && !NO_ROUTE.test(route)) return route
  throw bad(
    `csrf: exempt takes exact routes, method and path, such as 'POST /saml/acs'; got ${JSON.stringify(route)}. ` +
      `No patterns, no parameters, no query; safe methods need no exemption.`,
  )
}

function checkedUse(use: unknown): TokenUse {
  if (TOKEN_USES.includes(use)) return use as TokenUse
  throw bad(`csrf: tokens must be 'accepted', 'required' or 'off'; got ${JSON.stringify(use)}.`)
}
