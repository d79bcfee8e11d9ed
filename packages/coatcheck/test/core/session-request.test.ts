import { describe, expect, test } from 'vitest'
import { createSessions } from '../../src/core/sessions.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { SECRET } from './world.ts'

const facts = { secure: () => true, ip: () => '192.0.2.7', userAgent: () => 'Test/1' }

function sessionsOf(production: boolean) {
  const allowInProduction = production ? (['memory-store'] as const) : []
  return createSessions({ store: memoryStore(), secret: SECRET, production, allowInProduction })
}

describe('requestOf: what a layer above the session knows of its request', () => {
  test('address, user agent and one cookie come through', async () => {
    const sessions = sessionsOf(false)
    const { session } = await sessions.open('xdevice=no; device=abc~1 ; other=x', facts)
    const request = sessions.requestOf(session)
    expect([request.ip, request.userAgent, request.cookie('device'), request.cookie('sid')]).toEqual([
      '192.0.2.7',
      'Test/1',
      'abc~1',
      undefined,
    ])
    await sessions.close()
  })

  test('a cookie of its own leaves with the response, without a session for it', async () => {
    const sessions = sessionsOf(true)
    const exchange = await sessions.open(undefined, facts)
    sessions.requestOf(exchange.session).setCookie('device', 'abc', 60_000)
    const { setCookie } = await exchange.commit()
    expect(setCookie).toEqual(['__Host-device=abc; Max-Age=60; Path=/; HttpOnly; Secure; SameSite=Lax'])
    expect(() => sessions.requestOf(exchange.session).setCookie('device', 'abc', 60_000)).toThrow(/after the response had begun/)
    await sessions.close()
  })

  test("another application's session is refused", async () => {
    const [one, two] = [sessionsOf(false), sessionsOf(false)]
    const { session } = await one.open(undefined, facts)
    expect(() => two.requestOf(session)).toThrow(expect.objectContaining({ code: 'NO_SESSION' }))
    await Promise.all([one.close(), two.close()])
  })
})

test('derived keys differ by purpose and by secret, newest first', () => {
  const older = 'another secret of thirty-two bytes or more, for tests'
  const one = createSessions({ store: memoryStore(), secret: [SECRET, older], production: false })
  const two = createSessions({ store: memoryStore(), secret: older, production: false })
  expect(one.deriveKeys('a')).toHaveLength(2)
  expect(one.deriveKeys('a')[1]).toEqual(two.deriveKeys('a')[0])
  expect(one.deriveKeys('a')[0]).not.toEqual(one.deriveKeys('b')[0])
})
