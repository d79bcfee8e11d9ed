import { setTimeout as sleep } from 'node:timers/promises'
import type { MemcacheClient } from 'memcache-client'
import { afterEach, describe, expect, test } from 'vitest'
import { startMemcached } from '../../../../test/services/memcached.ts'
import { service } from '../../../../test/services/service.ts'
import { memcachedStore } from '../../src/stores/memcached.ts'
import { connect } from './memcached-clients.ts'
import { startTcpProxy } from './tcp-proxy.ts'
import { expectHonest, Traffic } from './traffic.ts'

const memcached = await service('memcached')

const TIMEOUT_MS = 1000
/** Where nothing is broken, a busy machine is no outage. */
const PATIENT_MS = 20_000
/** A request may need several commands, and a save a second try. */
const BOUND_MS = 10 * TIMEOUT_MS

const open: MemcacheClient[] = []
afterEach(() => {
  for (const client of open.splice(0)) client.shutdown()
})

function trafficOver(url: string, timeoutMs = TIMEOUT_MS): Traffic {
  const client = connect(url)
  open.push(client)
  return new Traffic(memcachedStore(client, { timeoutMs }))
}

async function started(url: string, timeoutMs = TIMEOUT_MS): Promise<Traffic> {
  const traffic = trafficOver(url, timeoutMs)
  await traffic.start()
  await sleep(300)
  return traffic
}

async function ownServer() {
  const server = await startMemcached()
  if ('missing' in server) throw new Error(server.missing)
  return server
}

/** People sign in and work on the same server again, and nobody is signed out. */
async function expectServiceAgain(traffic: Traffic): Promise<void> {
  await traffic.start()
  await sleep(300)
  const before = traffic.seen.signedOut
  await sleep(300)
  expect(traffic.seen.signedOut).toBe(before)
  const { otherwise, wrongIdentity, refused, lost } = await traffic.end()
  expect({ otherwise, wrongIdentity, refused, lost }).toEqual({ otherwise: [], wrongIdentity: 0, refused: 0, lost: 0 })
}

describe.skipIf(memcached.missing)('law 6: an outage of memcached', () => {
  test('killed and restarted under traffic: only 503s meanwhile; then all are signed out, and can sign in again', async () => {
    const server = await ownServer()
    const traffic = await started(server.url)
    await server.kill()
    await sleep(2500)
    expect(traffic.seen).toMatchObject({ signedOut: 0 })
    await server.restart()
    const backMs = await traffic.isBack()
    const seen = await traffic.end()
    expectHonest('memcached, killed and restarted', seen, { boundMs: BOUND_MS, backMs, emptied: true })
    expect(seen.refused).toBeGreaterThan(0)
    expect(seen.signedOut).toBeGreaterThan(0)
    await expectServiceAgain(trafficOver(server.url, PATIENT_MS))
    await server.stop()
  }, 60_000)

  test('flushed under traffic: all are signed out at once, nobody is anybody else, and all can sign in again', async () => {
    const server = await ownServer()
    const traffic = await started(server.url, PATIENT_MS)
    const admin = connect(server.url)
    open.push(admin)
    await admin.cmd('flush_all')
    const backMs = await traffic.isBack()
    const seen = await traffic.end()
    expectHonest('memcached, flushed', seen, { boundMs: PATIENT_MS, backMs, emptied: true })
    expect(seen.refused).toBe(0)
    expect(seen.signedOut).toBeGreaterThan(0)
    await expectServiceAgain(trafficOver(server.url, PATIENT_MS))
    await server.stop()
  }, 60_000)

  test('a connection cut in the middle of a reply, ten times under traffic: nobody is signed out', async () => {
    const server = await ownServer()
    const proxy = await startTcpProxy(server.port)
    const traffic = await started(proxy.url)
    for (let i = 0; i < 10; i++) {
      proxy.cutNextAnswers()
      await sleep(200)
    }
    const backMs = await traffic.isBack()
    const seen = await traffic.end()
    await proxy.close()
    await server.stop()
    expectHonest('memcached, cut in a reply', seen, { boundMs: BOUND_MS, backMs })
    expect(proxy.cuts).toBeGreaterThan(0)
    expect(seen.refused).toBeGreaterThan(0)
  }, 60_000)

  test('a server that stops answering: every request ends in bounded time, and nobody is signed out', async () => {
    const server = await ownServer()
    const traffic = await started(server.url)
    server.pause()
    await sleep(2500)
    server.resume()
    const backMs = await traffic.isBack()
    const seen = await traffic.end()
    await server.stop()
    expectHonest('memcached, frozen', seen, { boundMs: BOUND_MS, backMs })
    expect(seen.refused).toBeGreaterThan(0)
  }, 60_000)
})
