import type { Outgoing } from '../core/exchange.ts'
import type { NodeResponse } from './node-response.ts'

const SET_COOKIE = 'Set-Cookie'
const VARY = 'Vary'
const CACHE_CONTROL = 'Cache-Control'
/** As node keeps them, which spares it the change of case on every response. */
const KEPT_VARY = 'vary'
const KEPT_CACHE_CONTROL = 'cache-control'
/** What a response to a signed-in reader says unless the handler said otherwise (ASVS 5.0 14.3.2). */
export const PERSONAL = 'private, no-store'

type HeaderValue = number | string | readonly string[] | undefined
type Entry = readonly [name: string, value: HeaderValue]

/** The Vary header with `Cookie` in it; undefined where it says so already (`*` says everything). */
export function varyWithCookie(vary: HeaderValue): string | undefined {
  if (vary === undefined || vary === '') return 'Cookie'
  const fields = String(vary)
  return /(^|,)\s*(\*|cookie)\s*(,|$)/i.test(fields) ? undefined : `${fields}, Cookie`
}

/**
 * Adds what the session says to a response whose head is still to be written.
 *
 * `appendHeader` would push into the very array that the handler gave to `setHeader`: into a constant of the
 * application, it would hand this person's token to everybody after them.
 */
export function addToHead(response: NodeResponse, outgoing: Outgoing): void {
  if (outgoing.setCookie.length > 0) {
    response.setHeader(SET_COOKIE, joined(response.getHeader(SET_COOKIE), outgoing.setCookie))
  }
  if (outgoing.varies) addVary(response)
  if (outgoing.personal && !response.hasHeader(KEPT_CACHE_CONTROL)) response.setHeader(CACHE_CONTROL, PERSONAL)
}

function addVary(response: NodeResponse): void {
  const vary = varyWithCookie(response.getHeader(KEPT_VARY))
  if (vary !== undefined) response.setHeader(VARY, vary)
}

/** Both lists, each cookie once: a head that failed half-way may already carry ours. */
function joined(theirs: HeaderValue, ours: readonly string[]): readonly string[] {
  return [...new Set([...listOf(theirs), ...ours])]
}

function listOf(value: HeaderValue): readonly string[] {
  if (value === undefined) return []
  return typeof value === 'object' ? value : [String(value)]
}

/** The arguments of a `writeHead` call, told apart as node does. */
export interface HeadCall {
  readonly status: number
  readonly reason: string | undefined
  /** As the handler gave them: an object, a flat array, or an array of pairs. */
  readonly headers: object | undefined
}

/** What a handler meant by `writeHead(status, reason?, headers?)`. */
export function headCall(status: number, reason: unknown, headers: unknown): HeadCall {
  const given = headers ?? (typeof reason === 'string' ? undefined : reason)
  return {
    status,
    reason: typeof reason === 'string' ? reason : undefined,
    headers: typeof given === 'object' && given !== null ? given : undefined,
  }
}

/**
 * The headers of a `writeHead` call as pairs, whatever their form; undefined for an array that is no list of headers,
 * which node must refuse in its own words.
 */
export function entriesOf(headers: object): readonly Entry[] | undefined {
  if (!Array.isArray(headers)) return Object.entries(headers)
  if (Array.isArray(headers[0])) return headers.every(isPair) ? headers : undefined
  return headers.length % 2 === 0 ? pairUp(headers) : undefined
}

function isPair(entry: unknown): boolean {
  return Array.isArray(entry) && entry.length === 2
}

function pairUp(flat: readonly unknown[]): Entry[] {
  const pairs: Entry[] = []
  for (let i = 0; i < flat.length; i += 2) pairs.push([flat[i] as string, flat[i + 1] as HeaderValue])
  return pairs
}

/**
 * The headers of a `writeHead` call and what the session adds, in the form in which the handler gave them: node's rules
 * for what these override stay the handler's.
 */
export function withSession(headers: object, response: NodeResponse, outgoing: Outgoing): object {
  const entries = entriesOf(headers)
  if (entries === undefined) return headers
  return inFormOf(headers, mergedEntries(entries, response, outgoing))
}

function mergedEntries(entries: readonly Entry[], response: NodeResponse, outgoing: Outgoing): readonly Entry[] {
  const { setCookie, varies, personal } = outgoing
  let merged = entries
  if (setCookie.length > 0) merged = replaced(merged, SET_COOKIE, joined(standing(merged, SET_COOKIE, response), setCookie))
  if (varies) merged = replaced(merged, VARY, varyWithCookie(standing(merged, VARY, response)))
  const silent = personal && standing(merged, CACHE_CONTROL, response) === undefined
  return silent ? [...merged, [CACHE_CONTROL, PERSONAL]] : merged
}

/** What the head would say of `name`: a header of this call overrides one that was set before. */
function standing(entries: readonly Entry[], name: string, response: NodeResponse): HeaderValue {
  const own = entries.filter(entry => isNamed(entry, name)).flatMap(([, value]) => listOf(value))
  return own.length > 0 ? own : response.getHeader(name)
}

function replaced(entries: readonly Entry[], name: string, value: HeaderValue): readonly Entry[] {
  if (value === undefined) return entries
  const [written = name] = entries.find(entry => isNamed(entry, name)) ?? []
  return [...entries.filter(entry => !isNamed(entry, name)), [written, value]]
}

function isNamed([name]: Entry, wanted: string): boolean {
  return String(name).toLowerCase() === wanted.toLowerCase()
}

function inFormOf(headers: object, entries: readonly Entry[]): object {
  if (!Array.isArray(headers)) return Object.fromEntries(entries)
  return Array.isArray(headers[0]) ? entries : entries.flat(1)
}
