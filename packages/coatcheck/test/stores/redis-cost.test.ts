import { createClient } from 'redis'
import { describe, expect, test } from 'vitest'
import { startRedis } from '../../../../test/services/redis.ts'
import { service } from '../../../../test/services/service.ts'
import { createSessions } from '../../src/core/sessions.ts'
import { redisStore } from '../../src/stores/redis.ts'
import { Browser, codeOf, SECRET } from '../core/world.ts'
import { clients } from './redis-clients.ts'

const redis = await service('redis')

describe.skipIf(redis.missing)('what Redis is asked, by its own MONITOR', () => {
  test('a read is one command, a save one script, and an unchanged request writes nothing', async () => {
    const server = await startRedis()
    if ('missing' in server) throw new Error(server.missing)
    const [connection, monitor] = [await clients.redis(server.url), await createClient({ url: server.url }).connect()]
    const sessions = createSessions({ store: redisStore(connection.client), secret: SECRET, production: false })
    const browser = new Browser()
    await browser.login(sessions, 'ann')
    const lines: string[] = []
    await monitor.monitor(line => lines.push(String(line)))
    /** What clients sent; what a script calls is marked `lua`. */
    const sent = async (act: () => Promise<unknown>) => {
      await act()
      await connection.set('mark', '')
      await expect.poll(() => lines.some(line => line.includes('"mark"'))).toBe(true)
      const commands = lines.splice(0).filter(line => !line.includes('"mark"') && !line.includes(' lua]'))
      return commands.map(line => /\] "(\w+)"/.exec(line)?.[1])
    }
    const save = (n: number) => browser.request(sessions, ({ session }) => Object.assign(session, { n }))
    await save(0)
    await sent(async () => {})
    expect(await sent(() => browser.request(sessions))).toEqual(['MGET'])
    expect(await sent(() => save(1))).toEqual(['MGET', 'EVALSHA'])
    monitor.destroy()
    connection.close()
    await server.stop()
  })

  test('bytes of a session with 120 bytes of data, its share of the user index included, printed', async () => {
    const server = await startRedis()
    if ('missing' in server) throw new Error(server.missing)
    const connection = await createClient({ url: server.url }).connect()
    const sessions = createSessions({ store: redisStore(connection), secret: SECRET, production: false })
    await new Browser().request(sessions, ({ session }) => {
      Object.assign(session, { note: 'x'.repeat(109) })
      return session.login('4711')
    })
    let bytes = 0
    for await (const keys of connection.scanIterator({ MATCH: 'coatcheck:*', COUNT: 1000 }))
      for (const key of keys) if (!key.endsWith('generation')) bytes += (await connection.memoryUsage(key)) ?? 0
    console.log(`bytes per session in Redis, user index included: ${bytes}`)
    expect(bytes).toBeGreaterThan(120)
    // docs/stores/redis.md tells 560.
    expect(bytes).toBeLessThan(640)
    connection.destroy()
    await server.stop()
  })
})

describe.skipIf(redis.missing)('a Redis that will not do is a typed error', () => {
  test('a wrong password, a read-only replica, and a server that is not there', async () => {
    const server = await startRedis()
    if ('missing' in server) throw new Error(server.missing)
    const connection = await clients.ioredis(server.url)
    const store = redisStore(connection.client, { timeoutMs: 500 })
    const marks = async () => store.marks(null)
    expect(await codeOf(marks)).toBeUndefined()
    const admin = await createClient({ url: server.url }).connect()
    await admin.configSet('requirepass', 'a password')
    const stranger = await clients.ioredis(server.url)
    await expect(redisStore(stranger.client).marks(null)).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringContaining('password'),
    })
    await admin.sendCommand(['REPLICAOF', '127.0.0.1', '1'])
    await expect(store.revokeEveryone()).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringContaining('replica'),
    })
    admin.destroy()
    await server.stop()
    expect(await codeOf(marks)).toBe('STORE_UNAVAILABLE')
    connection.close()
    stranger.close()
  }, 30_000)

  test.each([
    ['a prefix with braces', () => redisStore({ sendCommand: async () => null }, { prefix: '{app}:' })],
    ['a timeout of 0', () => redisStore({ sendCommand: async () => null }, { timeoutMs: 0 })],
    ['no client', () => redisStore(JSON.parse('{}'))],
  ])('%s is refused at start-up', async (_what, make) => {
    expect(await codeOf(async () => make())).toBe('BAD_OPTION')
  })
})
