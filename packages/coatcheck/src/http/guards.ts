import { type Duration, durationMs } from '../core/clock.ts'
import type { CoatcheckError } from '../core/errors.ts'
import {
  type Answer,
  checkFresh,
  checkRole,
  checkSignedIn,
  loginLocation,
  type Refused,
  type RoleOf,
  wantsPage,
} from '../core/guard.ts'
import type { Session } from '../core/session.ts'

/** What every framework's guards take. */
export interface GuardOptions {
  /**
   * Where the browser is sent (303) when it loads a page that it may not see, with the way back in `returnTo`. Without
   * it, and for everything but page loads, the answer is JSON.
   */
  readonly loginPath?: string
  /** The name that holds the session, where it is not 'session'. */
  readonly as?: string
}

/** What `requireRole` takes besides. */
export interface RoleHook {
  /**
   * The person's role, from where you keep it, asked at each request: a demotion then counts at once, not at the next
   * sign-in. If it throws, the answer is 503 `ROLE_UNAVAILABLE`, and nobody passes; a `CoatcheckError` is answered as
   * itself. Default: the session's own `role`.
   */
  readonly role?: RoleOf
}

/** What decides between a login page and an answer. */
export interface GuardedRequest {
  readonly method: string | undefined
  readonly accept: string | undefined
  /** The whole path with its query, also inside a mounted sub-app. */
  readonly path: string
}

/** A guard without its framework. */
export interface Guard<Options extends GuardOptions = GuardOptions> {
  readonly options: Options
  /** Why this session may not pass; undefined if it may. A promise only where a near cache or a role hook has to be asked. */
  check(session: Session): Refused
}

/** Lets those pass who are signed in. */
export function authGuard<Options extends GuardOptions>(options: Options): Guard<Options> {
  return { options, check: checkSignedIn }
}

/**
 * Lets those pass whose session has one of the roles.
 *
 * @param given the roles, and then, if wanted, options
 */
export function roleGuard<Options extends GuardOptions & RoleHook>(
  given: readonly (string | Options)[],
): Guard<Options | (GuardOptions & RoleHook)> {
  const roles = given.filter(each => typeof each === 'string')
  const options: Options | (GuardOptions & RoleHook) = given.find(each => typeof each !== 'string') ?? {}
  return { options, check: session => checkRole(session, roles, options.role) }
}

/**
 * Lets those pass who proved who they are within `maxAge`.
 *
 * @throws CoatcheckError `BAD_OPTION` for a malformed duration
 */
export function freshGuard<Options extends GuardOptions>(maxAge: Duration, options: Options): Guard<Options> {
  const maxAgeMs = durationMs(maxAge, 'requireFresh')
  return { options, check: session => checkFresh(session, maxAgeMs) }
}

/** The way to the login page, for a page load that another sign-in could help. */
export function loginRedirect(refused: CoatcheckError, { loginPath }: GuardOptions, request: GuardedRequest): Answer | undefined {
  if (loginPath === undefined || refused.code === 'FORBIDDEN' || !wantsPage(request.method, request.accept)) return undefined
  return { status: 303, headers: { Location: loginLocation(loginPath, request.path), 'Cache-Control': 'no-store' }, body: '' }
}
