import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { addressBucket } from '../../src/throttle/address.ts'

describe('the part of an address that is one customer', () => {
  test.each([
    ['192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002::ffff', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['1::', '1:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::FFFF:c000:0207', '192.0.2.7'],
    ['0:0:0:0:0:ffff:192.0.2.7', '192.0.2.7'],
    ['64:ff9b::192.0.2.7', '64:ff9b:0:0::/64'],
    [' 192.0.2.7 ', '192.0.2.7'],
  ])('%s is %s', (ip, bucket) => {
    expect(addressBucket(ip)).toBe(bucket)
  })

  test.each([undefined, '', 'unknown', '192.0.2', '192.0.2.7:443', '[::1]', '1:2:3', 'localhost', '::ffff:999.0.2.7'])(
    '%s is no address, and no bucket',
    ip => {
      expect(addressBucket(ip)).toBeUndefined()
    },
  )

  test('all addresses of one /64 share a bucket, and no two /64 do', () => {
    const word = fc.nat(0xffff)
    const words = (length: number) => fc.array(word, { minLength: length, maxLength: length })
    const text = (groups: number[]) => groups.map(group => group.toString(16)).join(':')
    fc.assert(
      fc.property(words(4), words(4), words(4), words(4), (network, other, host, otherHost) => {
        const bucket = addressBucket(text([...network, ...host]))
        expect(addressBucket(text([...network, ...otherHost]).toUpperCase())).toBe(bucket)
        if (text(network) !== text(other)) expect(addressBucket(text([...other, ...host]))).not.toBe(bucket)
      }),
    )
  })
})
