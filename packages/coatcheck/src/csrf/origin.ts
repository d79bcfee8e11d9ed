/** A host and, if it is not the scheme's own, a port: what `Host` may hold (RFC 9110 §7.2). No userinfo, path or blank. */
const AUTHORITY = /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i
const ORIGIN = /^(https?):\/\/(.+)$/i

/**
 * The serialized origin of an address, as a browser writes it (RFC 6454 §6.2): lower case, no default port, IPv6 in its
 * short form; undefined where `authority` is none. A trailing dot stays: browsers take it for another host too.
 *
 * Whole origins are compared, never hosts alone: `https://app.example.com@evil.example` has the right words in it, and
 * another port or scheme is another origin.
 */
export function serializedOrigin(scheme: 'http' | 'https', authority: string): string | undefined {
  return AUTHORITY.test(authority) ? URL.parse(`${scheme}://${authority}`)?.origin : undefined
}

/**
 * The origin in an `Origin` header; undefined for `null`, for several at once, for other schemes than http and https, and
 * for whatever is no origin.
 */
export function parseOrigin(header: string): string | undefined {
  const [, scheme, authority] = ORIGIN.exec(header) ?? []
  if (scheme === undefined || authority === undefined) return undefined
  return serializedOrigin(scheme.toLowerCase() === 'https' ? 'https' : 'http', authority)
}
