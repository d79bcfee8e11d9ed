import { expect, test } from 'vitest'
import { Doomed } from '../../src/core/doomed.ts'
import { Emitter, type SessionEvents } from '../../src/core/events.ts'
import { createSessions } from '../../src/core/sessions.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { gatedStore } from '../../src/testing/gate.ts'
import { sampleRecord } from '../../src/testing/records.ts'
import { Browser, codeOf, SECRET } from './world.ts'

const outage = new Error('connection reset')

/** An engine whose store does not write until `gate.reset()`, with what is told of sessions that end, or cannot. */
function openEngine() {
  const gate = gatedStore(memoryStore())
  const sessions = createSessions({ store: gate.store, secret: SECRET, production: false })
  const told: string[] = []
  for (const name of ['session.ended', 'session.unended'] as const)
    sessions.on(name, ({ userId }) => told.push(`${name} ${userId}`))
  const cutOff = () =>
    gate.onCall(({ method, moment }) => {
      if (moment === 'before' && ['create', 'replace', 'delete'].includes(method)) throw outage
    })
  return { gate, sessions, told, cutOff }
}

/** Signed in, with a rotation that nobody knows to have landed or not. */
async function withUnknownRotation({ sessions, cutOff, gate }: ReturnType<typeof openEngine>, userId: string): Promise<Browser> {
  const browser = new Browser()
  gate.onCall(undefined)
  await browser.login(sessions, userId)
  cutOff()
  expect(await codeOf(() => browser.login(sessions, userId))).toBe('STORE_UNAVAILABLE')
  return browser
}

// Guard: in doomed.ts the two kinds; in one list 5,001 visitors push the rotation out, each with two births.
test('law 6: no number of visitors who cannot be stored lets the old token of a rotation of unknown outcome go on', async () => {
  const engine = openEngine()
  const browser = await withUnknownRotation(engine, 'ann')
  const visits = Array.from({ length: 5001 }, (_, i) =>
    codeOf(() => new Browser().request(engine.sessions, ({ session }) => Object.assign(session, { seen: i }))),
  )
  expect(new Set(await Promise.all(visits))).toEqual(new Set(['STORE_UNAVAILABLE']))
  expect(await codeOf(() => browser.send(engine.sessions))).toBe('STORE_UNAVAILABLE')
  engine.gate.reset()
  expect(await browser.whoAmI(engine.sessions)).toBeUndefined()
  expect(engine.told).toEqual(['session.ended ann'])
  await engine.sessions.close()
})

// Guard: in doomed.ts `this.#rotations.size >= MOST_DOOMED`, and the event of `#giveUp`.
test('law 11: of rotations of unknown outcome 10,000 are remembered; one that is given up for the next is told', async () => {
  const events = new Emitter<SessionEvents>()
  const told: string[] = []
  events.on('session.unended', ({ id, userId }) => told.push(`${id} of ${userId}`))
  const doomed = new Doomed(() => Promise.reject(outage), events)
  for (let i = 0; i < 10_000; i++) doomed.addRotation(sampleRecord({ id: `id ${i}`, userId: 'ann' }))
  expect(told).toEqual([])
  doomed.addRotation(sampleRecord({ id: 'one more', userId: 'bob' }))
  expect(told).toEqual(['id 0 of ann'])
  expect(['id 0', 'id 1', 'one more'].map(id => doomed.has(id))).toEqual([false, true, true])
  await doomed.close()
  expect(told).toHaveLength(10_001)
})

// Guard: in doomed.ts `quietly(LAST_ROUND_MS)`.
test.each(['fails', 'is silent'])(
  'law 11: close() does not wait for a store that %s, and tells what goes on for that',
  async how => {
    const engine = openEngine()
    await withUnknownRotation(engine, 'ann')
    if (how === 'is silent') engine.gate.onCall(() => new Promise(() => {}))
    const began = performance.now()
    await engine.sessions.close()
    expect(performance.now() - began).toBeLessThan(10_000)
    expect(engine.told).toEqual(['session.unended ann'])
  },
)
