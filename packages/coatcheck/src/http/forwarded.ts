import { CoatcheckError } from '../core/errors.ts'

/**
 * What the outermost of the application's own proxies wrote into a header such as `X-Forwarded-For`; undefined where
 * none is believed. Each proxy adds at the end; what stands before may be the client's invention.
 *
 * @param hops how many proxies are the application's own
 */
export function forwarded(header: string | undefined, hops: number): string | undefined {
  if (hops === 0 || header === undefined) return undefined
  const values = header.split(',')
  return values[Math.max(0, values.length - hops)]?.trim()
}

/**
 * The number of own proxies.
 *
 * @throws CoatcheckError `BAD_OPTION` if it is none
 */
export function checkedHops(trustProxy: unknown = 0): number {
  if (typeof trustProxy === 'number' && Number.isInteger(trustProxy) && trustProxy >= 0) return trustProxy
  throw new CoatcheckError('BAD_OPTION', `trustProxy is the number of your own proxies (0, 1, 2 …), not ${String(trustProxy)}.`)
}
