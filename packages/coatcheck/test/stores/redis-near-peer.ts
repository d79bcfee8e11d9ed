import { createClient } from 'redis'
import { createSessions } from '../../src/core/sessions.ts'
import { redisStore } from '../../src/stores/redis.ts'
import { facts, SECRET } from '../core/world.ts'

/**
 * Another process with a near cache: says who each cookie is. Its commands go to `url`, its watch's connection to
 * `watchUrl`, so that a test can break one of them.
 */
const LEASE_MS = 1000
const [url = '', watchUrl = '', prefix = ''] = process.argv.slice(2)
const client = await createClient({ url })
  .on('error', () => {})
  .connect()
let reads = 0
/** What the store calls of a client, the reads counted. */
const handed = {
  sendCommand(...[args, options]: Parameters<typeof client.sendCommand>): Promise<unknown> {
    if (args[0] === 'MGET') reads++
    return client.sendCommand(args, options)
  },
  duplicate: (options: object) => createClient({ ...options, url: watchUrl }),
}
const store = redisStore(handed, { prefix })
const sessions = createSessions({ store, secret: SECRET, production: false, nearCache: { lease: LEASE_MS } })
sessions.on('near-cache.lost', () => process.send?.({ near: 'lost' }))
sessions.on('near-cache.proven', () => process.send?.({ near: 'proven' }))

process.on('message', async (cookies: readonly string[]) => {
  reads = 0
  const names = await Promise.all(cookies.map(async cookie => (await sessions.open(cookie, facts)).session.userId ?? null))
  process.send?.({ names, reads })
})
