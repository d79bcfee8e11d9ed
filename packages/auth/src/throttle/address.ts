import { isIP } from 'node:net'

const IPV4_MAPPED = '0:0:0:0:0:ffff'

/**
 * The part of a client's address that is one customer's: an IPv4 address whole, of an IPv6 address the first 64 bits,
 * since whoever has one address there has all of them (RFC 6177).
 *
 * @returns undefined where there is no address, or none that is one. Such clients share no bucket: one attacker would
 *   fill it for everybody.
 */
export function addressBucket(ip: string | undefined): string | undefined {
  const address = ip?.trim().replace(/%.*$/, '') ?? ''
  const version = isIP(address)
  if (version === 0) return undefined
  return version === 4 ? address : ipv6Bucket(groupsOf(address))
}

/** An IPv4 address in IPv6's clothes (`::ffff:192.0.2.1`) is that IPv4 address. */
function ipv6Bucket(groups: readonly string[]): string {
  if (groups.slice(0, 6).join(':') !== IPV4_MAPPED) return `${groups.slice(0, 4).join(':')}::/64`
  return groups
    .slice(6)
    .flatMap(group => bytesOf(Number.parseInt(group, 16)))
    .join('.')
}

function bytesOf(word: number): number[] {
  return [word >> 8, word & 255]
}

/** All eight groups, without leading zeros. */
function groupsOf(address: string): string[] {
  const [head = '', tail] = address.split('::')
  const left = groupsIn(head)
  if (tail === undefined) return left
  const right = groupsIn(tail)
  return [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right]
}

function groupsIn(text: string): string[] {
  return text === ''
    ? []
    : text.split(':').flatMap(group => (group.includes('.') ? fromDotted(group) : [hex(Number.parseInt(group, 16))]))
}

function fromDotted(text: string): string[] {
  const [a = 0, b = 0, c = 0, d = 0] = text.split('.').map(Number)
  return [hex((a << 8) | b), hex((c << 8) | d)]
}

function hex(word: number): string {
  return word.toString(16)
}
