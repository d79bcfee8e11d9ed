import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'redis'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { service } from '../../test/services/service.ts'
import { startStoreServer } from '../src/processes/store-servers.ts'
import type { StoreUrl, Subject } from '../src/subject.ts'
import { SUBJECTS, startSubject } from '../src/subjects.ts'

const [redis, postgres] = [await service('redis'), await service('postgres')]
const [mongo, memcached] = [await service('mongo'), await service('memcached')]
/** Near caches need a replica set, which the tests' own server is not. */
const set = mongo.missing ? undefined : await startStoreServer('MONGODB_URL', undefined)
const PEOPLE = 20
const servers: Record<StoreUrl, typeof redis> = {
  REDIS_URL: redis,
  DATABASE_URL: postgres,
  MONGODB_URL: mongo.missing === undefined && set && 'url' in set ? { ...mongo, url: set.url } : mongo,
  MEMCACHED_URL: memcached,
}
afterAll(() => set && 'url' in set && set.stop())
for (const [name, { url }] of Object.entries(servers)) if (url !== undefined) process.env[name] = url

for (const { name, family, needs } of SUBJECTS) {
  test.skipIf(needs && servers[needs].missing)(
    `${name} knows everybody by name and answers with the bytes of its limit`,
    async () => {
      const [subject, limit] = [await listening(name), await listening(`${family}-limit`)]
      const expected = headersOf(await answerTo(limit, limit.signedIn[0]!.cookie))
      for (const { cookie, userId } of subject.signedIn.slice(-10)) {
        const text = await answerTo(subject, cookie)
        expect(headersOf(text)).toEqual(expected)
        expect(text.slice(text.indexOf('\r\n\r\n') + 4)).toBe(JSON.stringify({ userId }))
      }
    },
  )
}

test('requests to ours and to the limit have the same length', async () => {
  const ours = await listening('express-coatcheck-memory')
  const limit = await listening('express-limit')
  expect(new Set([...ours.signedIn, ...limit.signedIn].map(({ cookie }) => cookie.length)).size).toBe(1)
})

describe.skipIf(redis.missing)('near cache on Redis', () => {
  test('what was read once is not asked of Redis again; strictly it is, each time', async () => {
    const monitor = await createClient({ url: redis.url! }).connect()
    onTestFinished(() => monitor.destroy())
    const reads: string[] = []
    await monitor.monitor(line => void (/"MGET" "bench_/.test(line) && reads.push(line)))
    for (const [name, expected] of [
      ['express-coatcheck-redis-near', 0],
      ['express-coatcheck-redis', PEOPLE],
    ] as const) {
      const subject = await listening(name)
      const askAll = async () => {
        for (const { cookie } of subject.signedIn) await answerTo(subject, cookie)
      }
      await askAll()
      // For what is on its way to the monitor.
      await sleep(200)
      reads.length = 0
      await askAll()
      await sleep(200)
      expect(reads.length).toBe(expected)
    }
  })
})

async function listening(name: string): Promise<Subject & { port: number }> {
  const subject = await startSubject(name, PEOPLE)
  const server = createServer(subject.listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(async () => {
    server.close()
    await subject.close?.()
  })
  return { ...subject, port: (server.address() as AddressInfo).port }
}

/** Everything that came over the wire. */
async function answerTo({ port }: { port: number }, cookie: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(`GET /me HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: ${cookie}\r\nConnection: close\r\n\r\n`)
  let text = ''
  for await (const chunk of socket) text += chunk
  return text
}

/** Status and headers, in any order; the values that differ from person to person by their length only. */
function headersOf(text: string): readonly string[] {
  const lines = text.slice(0, text.indexOf('\r\n\r\n')).split('\r\n')
  return lines.map(line => line.replace(/^(ETag|Date): (.*)$/i, (_, name, value) => `${name}: ${value.length}`)).sort()
}
