import { createSessions } from '../../src/core/sessions.ts'
import { redisStore } from '../../src/stores/redis.ts'
import { facts, SECRET } from '../core/world.ts'
import { type ClientName, splitClients } from './redis-clients.ts'

/**
 * Another process with a near cache: says who each cookie is. Its commands go to `url`, its watch's connection to
 * `watchUrl`, so that a test can break one of them.
 */
const LEASE_MS = 1000
const [url = '', watchUrl = '', prefix = '', name = ''] = process.argv.slice(2)
let reads = 0
const client = await splitClients[name as ClientName](url, watchUrl, command => {
  if (command === 'MGET') reads++
})
const store = redisStore(client, { prefix })
const sessions = createSessions({ store, secret: SECRET, production: false, nearCache: { lease: LEASE_MS } })
sessions.on('near-cache.lost', () => process.send?.({ near: 'lost' }))
sessions.on('near-cache.proven', () => process.send?.({ near: 'proven' }))

process.on('message', async (cookies: readonly string[]) => {
  reads = 0
  const names = await Promise.all(cookies.map(async cookie => (await sessions.open(cookie, facts)).session.userId ?? null))
  process.send?.({ names, reads })
})
