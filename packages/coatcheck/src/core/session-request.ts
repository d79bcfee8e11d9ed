/**
 * What a layer above the session may know of its request, and the cookie that it may add to the response: the same
 * through every adapter. See `sessions.requestOf(session)`.
 */
export interface SessionRequest {
  /** The client's address, as the framework's trust setting tells it; undefined if unknown. */
  readonly ip: string | undefined
  /** The User-Agent header; undefined if none was sent. */
  readonly userAgent: string | undefined
  /** What one of the request's cookies holds: bytes from outside, to be verified. `name` is without prefix. */
  cookie(name: string): string | undefined
  /**
   * Adds a cookie to the response, with the attributes of the session's own, and always `HttpOnly`.
   *
   * @param name without prefix: `__Host-` comes before it where it does before the session's
   * @param maxAgeMs how long the browser keeps it, in milliseconds
   * @throws CoatcheckError `RESPONSE_STARTED` where the response has begun
   */
  setCookie(name: string, value: string, maxAgeMs: number): void
}
