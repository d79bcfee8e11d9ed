import type { Session } from './session.ts'
import type { MaybePromise } from './store.ts'

/**
 * What an adapter gives: facts of the request that core asks for only when a session is born (never on the hot path).
 * They come from the framework, so that its own trust setting decides what a proxy may claim.
 */
export interface RequestFacts {
  /** True if the browser's connection is TLS, as far as the framework can tell. */
  secure(): boolean
  /** The client's address; undefined if unknown. */
  ip(): string | undefined
  /** The User-Agent header; undefined if none was sent. */
  userAgent(): string | undefined
  /** The line of code that makes this framework believe a proxy, for the warning that a cookie could not be sent. */
  proxySetting?(): string
}

/** What an adapter takes at the first byte: the headers that the session adds to the response. */
export interface Outgoing {
  /** Whole Set-Cookie values, to be appended; empty in all but three cases (token born, rotated, ended). */
  readonly setCookie: readonly string[]
  /** True if the reader is (or has just been) signed in: `Cache-Control: private, no-store` unless the handler set its own. */
  readonly personal: boolean
  /** True if the handler looked at the session: `Vary: Cookie` is to be added. */
  readonly varies: boolean
}

/**
 * One request's dealings with its session. An adapter gets it from `sessions.open(cookieHeader, facts)`, hands
 * `session` to the handler, calls `commit` once when the first of status, headers or body is about to leave, and
 * `finish` once when the last byte is about to.
 */
export interface Exchange {
  /** The session; reading this property is what "touches" it. A different object after `regenerate`. */
  readonly session: Session
  /** False while nobody has read `session`: then neither commit nor holding is needed. */
  readonly touched: boolean
  /**
   * Saves what changed. Synchronous where nothing did, so that the hot path never waits, and there is nothing to
   * `finish` either at that moment. If it throws or rejects (a
   * `CoatcheckError`), the response must be replaced by the error's answer: nothing of the handler's may leave.
   */
  commit(): MaybePromise<Outgoing>
  /**
   * Whole Set-Cookie values of what this request did to the session and what stands, also where `commit` failed
   * afterwards: whatever is answered must carry them, or a rotation that landed would leave its browser with a dead token.
   */
  readonly owed: readonly string[]
  /**
   * Saves data that changed after `commit`. Throws or rejects with `RESPONSE_STARTED` if the identity changed: the
   * response is then ended as it stands, and the error goes where the framework's errors go.
   */
  finish(): MaybePromise<void>
}
