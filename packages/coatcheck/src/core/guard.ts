import { CoatcheckError, type ErrorCode, isCoatcheckError } from './errors.ts'
import { ownerOf, type Session, type SignedInSession } from './session.ts'
import type { MaybePromise } from './store.ts'

/** An answer that ends a request: what an adapter sends instead of the handler's. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** What the client is told. The error's own message may name settings; it is for the log. */
const publicWords: Readonly<Partial<Record<ErrorCode, string>>> = {
  NOT_AUTHENTICATED: 'Not authenticated',
  FORBIDDEN: 'Forbidden',
  REAUTH_REQUIRED: 'Please confirm your identity',
  SESSION_SUPERSEDED: 'Session superseded',
  LOGIN_OVERTAKEN: 'Please sign in again',
  LOGIN_EXPIRED: 'Please sign in again',
  CROSS_ORIGIN: 'Cross-origin request refused',
  BAD_CSRF_TOKEN: 'Invalid CSRF token',
  SESSION_CONFLICT: 'Session busy',
  NOT_SUPPORTED: 'Not supported by the session store',
}

/** The plainest refusals carry no code: their status says it all, and clients compare the whole body. */
const SELF_EVIDENT: readonly ErrorCode[] = ['NOT_AUTHENTICATED', 'FORBIDDEN']

/** The JSON answer to an error: status, headers and body. Whatever is not ours is a plain 500 without details. */
export function answerTo(error: unknown): Answer {
  if (!isCoatcheckError(error)) return jsonAnswer(500, { error: 'Internal server error' })
  const retry = error.retryAfter === undefined ? {} : { 'Retry-After': String(Math.ceil(error.retryAfter)) }
  const code = SELF_EVIDENT.includes(error.code) ? {} : { code: error.code }
  return jsonAnswer(error.status, { error: wordsFor(error), ...code }, retry)
}

function wordsFor({ code, status }: CoatcheckError): string {
  return publicWords[code] ?? (status >= 500 && status !== 503 ? 'Internal server error' : 'Service unavailable')
}

function jsonAnswer(status: number, body: object, headers: Record<string, string> = {}): Answer {
  const base = { 'Content-Type': 'application/json; charset=utf-8', 'Cache-Control': 'no-store' }
  return { status, headers: { ...base, ...headers }, body: JSON.stringify(body) }
}

/** Why this session may not pass where somebody must be signed in; undefined if it may. */
export function checkSignedIn(session: Session): CoatcheckError | undefined {
  const owner = ownerOf(session)
  if (owner.isSuperseded) {
    return new CoatcheckError(
      'SESSION_SUPERSEDED',
      'A parallel request has just given this session a new token. Repeat the request with it.',
    )
  }
  if (owner.signedInAs === null) return new CoatcheckError('NOT_AUTHENTICATED', 'Nobody is signed in.')
  return undefined
}

/** Why a session may not pass; undefined if it may. A promise only where something has to be asked. */
export type Refused = MaybePromise<CoatcheckError | undefined>

/** The role of whoever is signed in, from where the application keeps it; nothing where there is none. */
export type RoleOf = (session: SignedInSession) => MaybePromise<string | null | undefined>

/**
 * Why this session may not pass where one of `roles` is needed, by a strict read.
 *
 * @param roleOf asked anew each time, so that a demotion counts at once; without it the role is the data's `role`
 */
export function checkRole(session: Session, roles: readonly string[], roleOf?: RoleOf): Refused {
  return strictly(session, () => (roleOf === undefined ? checkOwnRole(session, roles) : checkRoleOf(session, roles, roleOf)))
}

function checkOwnRole(session: Session, roles: readonly string[]): CoatcheckError | undefined {
  return checkSignedIn(session) ?? refuseRole((session as { role?: unknown }).role, roles)
}

async function checkRoleOf(session: Session, roles: readonly string[], roleOf: RoleOf): Promise<CoatcheckError | undefined> {
  try {
    assertSignedIn(session)
    const role = await roleOf(session)
    // The hook may have ended the session: its account is gone, say.
    return checkSignedIn(session) ?? refuseRole(role, roles)
  } catch (error) {
    return isCoatcheckError(error) ? error : roleUnavailable(session, error)
  }
}

function refuseRole(role: unknown, roles: readonly string[]): CoatcheckError | undefined {
  if (typeof role === 'string' && roles.includes(role)) return undefined
  return new CoatcheckError('FORBIDDEN', `This needs the role ${roles.join(' or ')}.`)
}

/** Whoever could not be looked up does not pass, and is not told "forbidden" either: an outage is not an answer. */
function roleUnavailable(session: Session, cause: unknown): CoatcheckError {
  const { events, userId } = ownerOf(session)
  const message = 'The role hook of requireRole failed, so that nobody passes. See the cause; it must give a role, or nothing.'
  const error = new CoatcheckError('ROLE_UNAVAILABLE', message, { cause, retryAfter: 1 })
  events.emit('role.failed', { userId, error })
  return error
}

/**
 * Why this session may not pass where the person must have proved who they are within `maxAgeMs` milliseconds (ASVS 5.0
 * 7.5.1), by a strict read. Never a sign-out: the answer asks for a step-up.
 */
export function checkFresh(session: Session, maxAgeMs: number): Refused {
  return strictly(session, () => checkSignedIn(session) ?? refuseStale(session, maxAgeMs))
}

function refuseStale(session: Session, maxAgeMs: number): CoatcheckError | undefined {
  const at = session.authenticatedAt?.getTime()
  if (at !== undefined && ownerOf(session).now() - at < maxAgeMs) return undefined
  return new CoatcheckError(
    'REAUTH_REQUIRED',
    `This needs a sign-in at most ${Math.round(maxAgeMs / 1000)} seconds old. Ask for the password again and call session.login(userId).`,
  )
}

/**
 * The check, by what the store says now: a near cache may not have heard yet that this very session was ended (law 9).
 * Where there is none the read was strict already, and nothing waits.
 */
function strictly(session: Session, check: () => Refused): Refused {
  const owner = ownerOf(session)
  if (owner.settings.nearCache === undefined) return check()
  return owner.confirm().then(check, refusalFrom)
}

/** What a store's failure is to a guard: the outage's own answer. */
function refusalFrom(error: unknown): CoatcheckError {
  if (isCoatcheckError(error)) return error
  throw error
}

/**
 * Narrows the session's type to one in which somebody is signed in.
 *
 * @throws CoatcheckError `NOT_AUTHENTICATED` or `SESSION_SUPERSEDED`
 */
export function assertSignedIn(session: Session): asserts session is SignedInSession {
  const refused = checkSignedIn(session)
  if (refused !== undefined) throw refused
}

/** True for a request that a page load makes: safe method, and HTML named before JSON or alone. */
export function wantsPage(method: string | undefined, accept: string | undefined): boolean {
  if (method !== 'GET' && method !== 'HEAD') return false
  const html = accept?.indexOf('text/html') ?? -1
  const json = accept?.indexOf('application/json') ?? -1
  return html !== -1 && (json === -1 || html < json)
}

const LONGEST_RETURN_PATH = 2048
/** No real host: whatever resolves away from it leaves the site. */
const NOWHERE = 'http://coatcheck.invalid'

/**
 * A path on this very site, fit for a redirect after login, or `fallback` (ASVS 5.0 3.7.2; CWE-601).
 *
 * It is resolved as a browser would, and the result is checked again: `/.//evil` resolves to `//evil`, which names
 * another host.
 */
export function safeReturnPath(value: unknown, fallback = '/'): string {
  if (typeof value !== 'string' || value.length > LONGEST_RETURN_PATH || !isLocal(value)) return fallback
  const url = URL.parse(value, NOWHERE)
  if (url === null || url.origin !== NOWHERE || url.username !== '' || url.password !== '') return fallback
  const path = `${url.pathname}${url.search}${url.hash}`
  return isLocal(path) ? path : fallback
}

/** Begins with one slash, and holds nothing that a browser drops (tab, newline) or reads as a slash. */
function isLocal(path: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for.
  return path.startsWith('/') && !path.startsWith('//') && !/[\\\u0000-\u001f\u007f]/.test(path)
}

/** Where a page load that needs a sign-in is sent: the login page, which then leads back to `path`. */
export function loginLocation(loginPath: string, path: string): string {
  const separator = loginPath.includes('?') ? '&' : '?'
  return `${loginPath}${separator}returnTo=${encodeURIComponent(safeReturnPath(path))}`
}
