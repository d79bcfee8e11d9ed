import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { service } from '../../../../test/services/service.ts'
import type { ScanPage } from '../../src/core/store.ts'
import { parseTopology, slotOf } from '../../src/stores/redis/topology.ts'
import { redisStore } from '../../src/stores/redis.ts'
import { storeLaws } from '../../src/testing/index.ts'
import { storedRecord } from '../../src/testing/records.ts'
import { clusterClients, openSpace } from './redis-clients.ts'

const cluster = await service('redis-cluster')

for (const [name, connect] of Object.entries(clusterClients)) {
  describe.skipIf(cluster.missing)(`the redis store on a Cluster over ${name}`, () => {
    const open = () => openSpace(connect, cluster.url as string)
    for (const law of storeLaws({ open, noPrune: 'Redis forgets by itself' })) test(law.name, law.run)

    test('a scan over a client that has only just been made finds what is there', async () => {
      const prefix = `test:${randomUUID()}:`
      const first = await connect(cluster.url as string)
      const record = await storedRecord(redisStore(first.client, { prefix }))
      const second = await connect(cluster.url as string)
      const found: string[] = []
      const scanning = redisStore(second.client, { prefix })
      for (let after: string | null = null, more = true; more; more = after !== null) {
        const page: ScanPage = await scanning.scan(after, 1000)
        found.push(...page.records.map(({ id }) => id))
        after = page.next
      }
      expect(found).toEqual([record.id])
      for (const connection of [first, second]) connection.close()
    })

    // Guard: in redis/confirmation.ts the keys share one time limit.
    test('confirmRevocations asks the node of each key, and takes one time limit for all of them', async () => {
      const [connection, prefix] = [await connect(cluster.url as string), `test:${randomUUID()}:`]
      const storeWith = (replicas: number) =>
        redisStore(connection.client, { prefix, timeoutMs: 10_000, confirmRevocations: { replicas, timeoutMs: 1500 } })
      const login = () => Promise.all(Array.from({ length: 40 }, () => storedRecord(storeWith(1), { userId: 'ann' })))
      await login()
      expect(await storeWith(1).revokeUser('ann')).toHaveLength(40)
      await login()
      const from = performance.now()
      await expect(storeWith(5).revokeUser('ann')).rejects.toMatchObject({
        code: 'STORE_UNAVAILABLE',
        message: expect.stringContaining('1 of 5 replicas'),
      })
      // Forty limits would be a minute.
      expect(performance.now() - from).toBeLessThan(10_000)
      connection.close()
    })
  })
}

describe('the topology of a Cluster', () => {
  const nodes = (own: string, pong: number) => `
aa 127.0.0.1:7001@17001 myself,master - 0 0 1 connected 0-1 ${own}
bb 127.0.0.1:7002@17002 master - 0 ${pong} 2 connected 2-16383
cc 127.0.0.1:7003@17003 slave bb 0 ${pong} 2 connected
`

  test('the slot of a key is the one that the specification gives', () => {
    expect(slotOf('123456789')).toBe(0x31c3)
  })

  test('pings and pongs change nothing', () => {
    expect(parseTopology(nodes('', 5)).digest).toBe(parseTopology(nodes('', 6)).digest)
  })

  test.each([
    ['a slot that begins to move', (text: string) => text.replace('0-1 ', '0-1 [1->-bb]')],
    ['a slot that has moved', (text: string) => text.replace('0-1 ', '0 ').replace('2-16383', '1-16383')],
    ['a replica that took over', (text: string) => text.replace('slave bb', 'master -')],
    ['a node that is suspected', (text: string) => text.replace('slave', 'slave,fail?')],
    ['a node that came', (text: string) => `${text.trim()}\ndd 127.0.0.1:7004@17004 master - 0 0 0 connected\n`],
  ])('%s changes the digest', (_what, change) => {
    const text = nodes('', 5)
    expect(change(text)).not.toBe(text)
    expect(parseTopology(change(text)).digest).not.toBe(parseTopology(text).digest)
  })

  test('the tag lies in a slot that the node itself owns, and owners are masters with slots', () => {
    const { tag, own, owners } = parseTopology(nodes('', 5))
    expect(slotOf(tag.slice(1, -1))).toBeLessThanOrEqual(1)
    expect([own, ...owners]).toEqual(['aa', 'aa', 'bb'])
  })
})
