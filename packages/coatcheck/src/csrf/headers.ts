import { CoatcheckError } from '../core/errors.ts'
import type { CsrfRules, TokenUse } from './options.ts'
import { parseOrigin, serializedOrigin } from './origin.ts'

/** What the rule looks at of a request. */
export interface CsrfFacts {
  /** As it was sent: upper case, or it is no method that we know. */
  readonly method: string
  /** As the router sees it, without the query; whole, also inside a mounted sub-app. */
  readonly path: string
  /** True if the browser's connection is TLS, by the framework's own trust setting. */
  readonly secure: boolean
  /** The `Host` header, or HTTP/2's `:authority`. */
  readonly host: string | undefined
  /** A request header by its lower-case name; what came several times is joined with commas. */
  header(name: string): string | undefined
}

/**
 * What the headers say of a request.
 * - `safe`: its method changes nothing (RFC 9110 §9.2.1)
 * - `exempt`: its exact route is not checked
 * - `ours`: one of our own pages sent it, or a trusted one, or a program that no other site can steer
 * - `foreign`: a page of another origin sent it
 * - `unsaid`: nothing tells; a token must
 */
export type Verdict = 'safe' | 'exempt' | 'ours' | 'foreign' | 'unsaid'

const SAFE_METHODS: readonly string[] = ['GET', 'HEAD', 'OPTIONS']

/**
 * Whose request this is, by what browsers say and no page can forge (ASVS 5.0 3.5.1 to 3.5.3; OWASP CSRF Prevention:
 * Fetch Metadata, with `Origin` where there is none).
 *
 * Whether a cookie came along does not matter: a forged sign-in, which needs none, puts the victim into the attacker's
 * account.
 */
export function judge(facts: CsrfFacts, rules: CsrfRules): Verdict {
  if (SAFE_METHODS.includes(facts.method)) return 'safe'
  if (rules.exempt.has(`${facts.method} ${facts.path}`)) return 'exempt'
  const site = facts.header('sec-fetch-site')
  const origin = facts.header('origin')
  if (site === undefined && origin === undefined) return forcedPreflight(facts) ? 'ours' : 'unsaid'
  if (origin !== undefined && isTrusted(origin, rules)) return 'ours'
  const own = site === undefined ? isOwnOrigin(origin, facts) : isOwnSite(site)
  return own ? 'ours' : 'foreign'
}

/** `same-site` is not enough: a sibling subdomain may be anybody's, or taken over. `none` is the person, not a page. */
function isOwnSite(site: string): boolean {
  return site === 'same-origin' || site === 'none'
}

function isTrusted(origin: string, { trustedOrigins }: CsrfRules): boolean {
  const parsed = parseOrigin(origin)
  return parsed !== undefined && trustedOrigins.has(parsed)
}

/** An unknown own origin equals nothing, `null` and the unparsable included. */
function isOwnOrigin(origin: string | undefined, { secure, host }: CsrfFacts): boolean {
  const own = host === undefined ? undefined : serializedOrigin(secure ? 'https' : 'http', host)
  return own !== undefined && origin !== undefined && parseOrigin(origin) === own
}

/**
 * True for a request that a page of another site could send only after a CORS preflight, which we do not answer: its
 * content type, or one of its headers, is not on the safelist (Fetch Standard §2.2.2). A form can set neither.
 *
 * The headers are named, because browsers and proxies add others by themselves. `X-CSRF-Token` is not among them: its
 * value has to be right. `Authorization` counts as a bearer's only: browsers repeat Basic and Negotiate unasked.
 */
function forcedPreflight(facts: CsrfFacts): boolean {
  if (isJson(facts.header('content-type'))) return true
  return facts.header('x-requested-with') !== undefined || isBearer(facts.header('authorization'))
}

/** The essence alone: `text/plain; x=application/json` is what a form can send. */
function isJson(contentType = ''): boolean {
  const [essence = ''] = contentType.split(';')
  return /^application\/(?:[\w.-]+\+)?json$/i.test(essence.trim())
}

function isBearer(authorization = ''): boolean {
  return /^bearer \S/i.test(authorization)
}

/** True if it depends on a token whether the request may go on. What is foreign no token overrides. */
export function needsToken(verdict: Verdict, tokens: TokenUse): boolean {
  return verdict === 'unsaid' ? tokens !== 'off' : verdict === 'ours' && tokens === 'required'
}

/** Why the request may not go on; undefined if it may. `tokenIsValid` counts only where a token is needed. */
export function refusalOf(verdict: Verdict, tokens: TokenUse, tokenIsValid: boolean): CoatcheckError | undefined {
  if (needsToken(verdict, tokens)) return tokenIsValid ? undefined : badToken(verdict)
  return verdict === 'foreign' || verdict === 'unsaid' ? crossOrigin(verdict) : undefined
}

function badToken(verdict: Verdict): CoatcheckError {
  const other = verdict === 'unsaid' ? ', or JSON, or an X-Requested-With header' : ''
  return new CoatcheckError(
    'BAD_CSRF_TOKEN',
    `This request needs the CSRF token of its session, in X-CSRF-Token or the form field _csrf${other}; it has none that is valid now. Load the page, or read the csrf-token cookie, again. Forms must be parsed before csrf() runs.`,
  )
}

function crossOrigin(verdict: Verdict): CoatcheckError {
  return new CoatcheckError(
    'CROSS_ORIGIN',
    verdict === 'unsaid'
      ? 'This unsafe request has neither Sec-Fetch-Site nor Origin. Send JSON, or an X-Requested-With header.'
      : 'This unsafe request was sent by a page of another origin. If that is yours, add it to trustedOrigins; behind a proxy, let it pass Host on, and have the framework trust it.',
  )
}
