import { expireCookie, setCookie } from '../core/cookie.ts'
import { deriveKey } from '../core/crypto.ts'
import type { CoatcheckError } from '../core/errors.ts'
import type { Exchange } from '../core/exchange.ts'
import { SIGNED_IN_NAME } from '../core/options.ts'
import { ownerBehind } from '../core/request-exchange.ts'
import { ownerOf, type Session, type SessionOwner } from '../core/session.ts'
import { type CsrfFacts, judge, needsToken, refusalOf } from './headers.ts'
import type { CsrfRules } from './options.ts'
import { type Binding, isCsrfToken, isNonce, mintCsrfToken, newNonce } from './token.ts'

/** What an adapter gives of a request. */
export interface CsrfRequest extends CsrfFacts {
  /** As the session middleware opened it. Requests that need no look at the session do not touch it. */
  readonly exchange: Exchange
  /** Touches the session, so that the response waits for its cookies. */
  touch(): void
}

/** A check that has looked at the headers. */
export interface Check {
  /** True if it depends on the form field `_csrf`, which the adapter then reads from the body. */
  readonly wantsField: boolean
  /** Why the request may not go on; undefined if it may. Call it once, with the field where that is wanted. */
  conclude(field?: unknown): CoatcheckError | undefined
}

const TOKEN_HEADER = 'x-csrf-token'
/** The form field that holds the token. */
export const TOKEN_FIELD = '_csrf'
/** For page scripts. Never trusted, only read back by them: so it needs no prefix. */
const TOKEN_COOKIE = 'csrf-token'
/** Of the visitor's nonce; `__Host-` comes before it. */
const NONCE_COOKIE = 'csrf'
const NONCE_LIFE_MS = 86_400_000

/**
 * Checks one request. The decisions are `judge`'s and `refusalOf`'s; here are the effects: the look at the token, the
 * `csrf-token` cookie, the event.
 */
export function checkRequest(request: CsrfRequest, rules: CsrfRules): Check {
  const owner = ownerBehind(request.exchange)
  if (rules.tokens !== 'off') owner.onToken(sendTokenCookie)
  const verdict = judge(request, rules)
  if (!needsToken(verdict, rules.tokens))
    return { wantsField: false, conclude: () => told(refusalOf(verdict, rules.tokens, false), request, owner) }
  const header = request.header(TOKEN_HEADER)
  return {
    wantsField: header === undefined,
    conclude: field => told(refusalOf(verdict, rules.tokens, isValid(owner, header ?? field)), request, owner),
  }
}

function isValid(owner: SessionOwner, token: unknown): boolean {
  const binding = bindingOf(owner)
  return binding !== undefined && isCsrfToken(keysOf(owner), binding, token)
}

function told(error: CoatcheckError | undefined, request: CsrfRequest, owner: SessionOwner): CoatcheckError | undefined {
  if (error === undefined) return undefined
  if (error.code === 'BAD_CSRF_TOKEN') renewTokenCookie(request, owner)
  const { id = null, userId } = owner
  const origin = request.header('origin')?.slice(0, 255) ?? null
  owner.events.emit('request.refused', { error, origin, id, userId, ip: owner.request.ip ?? null })
  return error
}

/** So that a script can read the cookie again and repeat. A superseded request knows only what is void by now. */
function renewTokenCookie(request: CsrfRequest, owner: SessionOwner): void {
  if (owner.tokenHash === undefined || owner.isSuperseded) return
  request.touch()
  sendTokenCookie(owner)
}

/** Where the session's cookie has a name of its own, these have too: two engines of one app would else overwrite each other's. */
function ownName(base: string, { settings: { signedInCookie, cookiePrefix } }: SessionOwner): string {
  const name = signedInCookie.slice(cookiePrefix.length)
  return name === SIGNED_IN_NAME ? base : `${name}-${base}`
}

/** A living session is all that counts: a visitor's token is void from then on. */
function bindingOf(owner: SessionOwner): Binding | undefined {
  if (owner.tokenHash !== undefined) return { to: 'session', value: owner.tokenHash }
  const nonce = nonces.get(owner) ?? owner.request.cookie(ownName(NONCE_COOKIE, owner))
  return isNonce(nonce) ? { to: 'visitor', value: nonce } : undefined
}

const derived = new WeakMap<readonly string[], readonly Buffer[]>()

function keysOf({ settings: { secrets } }: SessionOwner): readonly Buffer[] {
  const keys = derived.get(secrets) ?? secrets.map(secret => deriveKey(secret, 'csrf token'))
  derived.set(secrets, keys)
  return keys
}

/** The nonces of requests that came without one: all forms of a page are bound to the same. */
const nonces = new WeakMap<SessionOwner, string>()

/**
 * The CSRF token for a form, in a hidden field named `_csrf` (OWASP CSRF Prevention: synchronizer token). A new text each
 * time, valid until the session's token changes: at sign-in, step-up, a change of role, sign-out.
 *
 * A visitor without a session gets one too, bound to an HttpOnly cookie that is set for it, and no session (law 10). It is
 * void as soon as a session exists: if the same request stores data, `await session.save()` first.
 *
 * @throws CoatcheckError `NO_SESSION` for what is no session; `RESPONSE_STARTED` for a visitor's first token after the
 *   response has begun
 */
export function csrfToken(session: Session): string {
  const owner = ownerOf(session)
  const known = bindingOf(owner)
  return known === undefined ? greet(owner) : mintCsrfToken(keysOf(owner), known)
}

/** A visitor's first token, with the two cookies that go with it. */
function greet(owner: SessionOwner): string {
  const nonce = newNonce()
  owner.request.setCookie(ownName(NONCE_COOKIE, owner), nonce, NONCE_LIFE_MS)
  nonces.set(owner, nonce)
  const token = mintCsrfToken(keysOf(owner), { to: 'visitor', value: nonce })
  const name = ownName(TOKEN_COOKIE, owner)
  owner.addCookie(name, setCookie(name, token, readable(owner), NONCE_LIFE_MS))
  return token
}

/** The `csrf-token` cookie changes with the session's own, and only then: a rotation rotates it, an end removes it. */
function sendTokenCookie(owner: SessionOwner): void {
  const name = ownName(TOKEN_COOKIE, owner)
  owner.addCookie(name, tokenCookie(name, owner))
  if (owner.tokenHash !== undefined) forgetNonce(owner)
}

function tokenCookie(name: string, owner: SessionOwner): string {
  const { tokenHash } = owner
  if (tokenHash === undefined) return expireCookie(name, readable(owner))
  return setCookie(name, mintCsrfToken(keysOf(owner), { to: 'session', value: tokenHash }), readable(owner))
}

function readable({ settings }: SessionOwner): SessionOwner['settings']['attributes'] {
  return { ...settings.attributes, httpOnly: false }
}

function forgetNonce(owner: SessionOwner): void {
  const { attributes, cookiePrefix } = owner.settings
  if (nonces.has(owner)) warnOfVoidToken()
  else if (owner.request.cookie(ownName(NONCE_COOKIE, owner)) === undefined) return
  const name = cookiePrefix + ownName(NONCE_COOKIE, owner)
  owner.addCookie(name, expireCookie(name, { ...attributes, httpOnly: true }))
}

let warned = false

/** Forms that fail in old browsers only would be found late. */
function warnOfVoidToken(): void {
  if (warned) return
  warned = true
  process.emitWarning(
    "A request called csrfToken() for a visitor and then began a session: the token is void already. Store the session's data before, and await session.save().",
    'CoatcheckWarning',
  )
}
