import { type SetCookie, stringifySetCookie } from 'cookie'
import { TOKEN_LENGTH, type Token, type Tokens } from './token.ts'

/** The attributes that every cookie of ours is set and expired with (RFC 6265 §4.1.2). */
export type CookieAttributes = Readonly<Pick<SetCookie, 'domain' | 'path' | 'httpOnly' | 'secure' | 'sameSite'>>

/** Token-shaped cookies of one name that are looked at before the whole lot is refused: bounds the work (law 7). */
const MOST_CANDIDATES = 8

/**
 * The verified token that the Cookie header holds under `name`; 'ambiguous' where two different ones verify.
 *
 * Two live cookies of one name mean that somebody planted one from a sibling host or another path; which of them the
 * person meant cannot be known (RFC 6265 §8.6), so neither is believed.
 */
export function findToken(header: string, name: string, tokens: Tokens): Token | 'ambiguous' | undefined {
  let found: Token | undefined
  let candidates = 0
  for (let at = header.indexOf(name); at !== -1; at = header.indexOf(name, at + 1)) {
    if (!isPair(header, at, name)) continue
    const value = valueAt(header, at + name.length + 1)
    if (value.length !== TOKEN_LENGTH) continue
    if (++candidates > MOST_CANDIDATES) return 'ambiguous'
    const token = tokens.verify(value)
    if (token === undefined) continue
    if (found !== undefined && (found.id !== token.id || found.tokenHash !== token.tokenHash)) return 'ambiguous'
    found = token
  }
  return found
}

/** What the first cookie of this name holds; undefined if there is none. */
export function cookieValue(header: string, name: string): string | undefined {
  for (let at = header.indexOf(name); at !== -1; at = header.indexOf(name, at + 1)) {
    if (isPair(header, at, name)) return valueAt(header, at + name.length + 1)
  }
  return undefined
}

/** True where a pair of this name begins: at the start, or after `;` and optional white space. */
function isPair(header: string, at: number, name: string): boolean {
  if (header.charCodeAt(at + name.length) !== 0x3d) return false
  let before = at - 1
  while (before >= 0 && isBlank(header.charCodeAt(before))) before--
  return before < 0 || header.charCodeAt(before) === 0x3b
}

function valueAt(header: string, start: number): string {
  let end = header.indexOf(';', start)
  if (end === -1) end = header.length
  while (end > start && isBlank(header.charCodeAt(end - 1))) end--
  return header.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09
}

/** A Set-Cookie value that gives the browser a token; without `maxAgeMs` it ends with the browser's session. */
export function setCookie(name: string, value: string, attributes: CookieAttributes, maxAgeMs?: number): string {
  const age = maxAgeMs === undefined ? {} : { maxAge: Math.floor(maxAgeMs / 1000) }
  return stringifySetCookie({ ...attributes, ...age, name, value })
}

/** A Set-Cookie value that removes the cookie, with the attributes it was set with (RFC 6265 §3.1, last example). */
export function expireCookie(name: string, attributes: CookieAttributes): string {
  return stringifySetCookie({ ...attributes, name, value: '', maxAge: 0, expires: new Date(0) })
}
