/** Every code that Coatcheck can raise. `docs/errors.md` explains each; a test holds the two together. */
export type ErrorCode = keyof typeof statusOf

/** The HTTP status that an adapter answers with when the error of this code ends a request. */
const statusOf = {
  /** An option is missing, malformed, or too weak for production: thrown at start-up. Or a session's id is no text. */
  BAD_OPTION: 500,
  /** `identify(data)` gave something that cannot name a person. */
  BAD_IDENTITY: 500,
  /** The session's data cannot be written as JSON. */
  BAD_SESSION_DATA: 500,
  /** The session's data is larger than `maxDataBytes`. */
  SESSION_TOO_LARGE: 500,
  /** The session's own names (`id`, `login`, …) cannot be data keys. */
  RESERVED_KEY: 500,
  /** One person's session was assigned another person's id without `login()`. */
  IDENTITY_CHANGED: 500,
  /** The identity was changed, or `login()` called, after the response had begun. */
  RESPONSE_STARTED: 500,
  /** The session middleware did not run before this code, or two of them claim one property. */
  NO_SESSION: 500,
  /** Nobody is signed in. */
  NOT_AUTHENTICATED: 401,
  /** A parallel request has just rotated this session; safe to repeat with the new cookie. */
  SESSION_SUPERSEDED: 401,
  /** The person's sessions were ended while this login was under way. */
  LOGIN_OVERTAKEN: 401,
  /** The login's credentials were checked too long ago. */
  LOGIN_EXPIRED: 401,
  /** Signed in, but without the role that this needs. */
  FORBIDDEN: 403,
  /** Signed in, but not recently enough for this. */
  REAUTH_REQUIRED: 403,
  /** An unsafe request came from another origin. */
  CROSS_ORIGIN: 403,
  /** The CSRF token that the request needed is missing, wrong, or another session's. */
  BAD_CSRF_TOKEN: 403,
  /** Other processes kept changing this session, or too many requests wait to; nothing of this request was saved. */
  SESSION_CONFLICT: 503,
  /** The store did not answer, or answered with a failure. */
  STORE_UNAVAILABLE: 503,
  /** The store holds a record under our key that we did not write, or of an unknown format. */
  FOREIGN_RECORD: 503,
  /** More passwords wait to be hashed than the queue takes; nothing was checked. */
  HASHING_OVERLOADED: 503,
  /** The throttle's backend did not answer: no password is checked without it. */
  LIMITER_UNAVAILABLE: 503,
  /** The application's own look-up of a role failed: nobody passes without it. */
  ROLE_UNAVAILABLE: 503,
  /** The store cannot do what was asked (list, scan, watch). */
  NOT_SUPPORTED: 501,
} as const

/**
 * The one class of error that Coatcheck throws. Switch on `code`, never on the message.
 *
 * `status` is the HTTP status an adapter answers with; `cause` keeps the driver's own error. The message says what was
 * expected, what came and what to do, and never holds a token or a secret (ASVS 5.0 16.2.5).
 */
export class CoatcheckError extends Error {
  override readonly name = 'CoatcheckError'
  readonly code: ErrorCode
  readonly status: number
  /** Seconds after which a retry makes sense; sent as `Retry-After` (RFC 9110 §10.2.3). */
  readonly retryAfter: number | undefined
  /** True where a store knows that what it was asked for did not happen, and will not: its outcome is not unknown (law 6). */
  readonly notDone: boolean

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; retryAfter?: number; notDone?: boolean } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.status = statusOf[code]
    this.retryAfter = options.retryAfter
    this.notDone = options.notDone ?? false
  }
}

/** True for an error of ours, also when two copies of the package are loaded. */
export function isCoatcheckError(error: unknown): error is CoatcheckError {
  return error instanceof Error && error.name === 'CoatcheckError' && 'code' in error && 'status' in error
}
