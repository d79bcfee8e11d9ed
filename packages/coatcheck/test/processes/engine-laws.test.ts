import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { isLong, sample } from '../../../../test/long.ts'
import { type Engine, type StoreKind, storeKinds, TestClock, type World } from '../core/world.ts'
import { EACH_ONCE, type Engines, TwoProcesses } from './two-processes.ts'

/**
 * The engine's laws, word for word as core/laws.test.ts has them, over worlds whose second engine is in another process.
 */
const all = sample('the engine laws over two processes', await TwoProcesses.overEach(), EACH_ONCE)
const found = all.filter(({ missing }) => missing === undefined)

/** What cannot be shown this way, and why. */
const skips: readonly { readonly law: string; readonly on: RegExp; readonly reason: string }[] = [
  { law: 'devices, revokeDevice and revokeOthers reach the own sessions only', on: /on memcached/, reason: 'it lists nothing' },
  {
    law: 'a list with a limit shows the living, however many newer ones are over',
    on: /on memcached/,
    reason: 'it lists nothing',
  },
  { law: 'law 11: a login beyond maxSessionsPerUser ends the oldest', on: /on memcached/, reason: 'it lists nothing' },
  // What one process bounds for itself has nothing to hear of another one.
  ...[
    'law 11: of the saves of one session 500 wait behind the one at work; the rest is refused, and none acknowledged is lost',
    'law 11: a store that never answers is asked once, and not ever more often, to end what is still to be ended',
  ].map(law => ({ law, on: isLong ? /^$/ : /./, reason: 'core/laws.test.ts has it; npm run test:long runs it here too' })),
]

beforeEach(({ task: { fullTestName = '' }, skip }) => {
  const found = skips.find(({ law, on }) => fullTestName.endsWith(law) && on.test(fullTestName))
  if (found) skip(`NOT RUN: ${found.reason}`)
})

test('a skip does not outlive the law that it is made for', () => {
  const laws = readFileSync(join(import.meta.dirname, '../core/laws.test.ts'), 'utf8')
  for (const { law } of skips) expect(laws).toContain(law)
})

beforeAll(() => Promise.all(found.map(two => two.start())))
afterAll(() => Promise.all(found.map(two => two.end())))

function overTwoProcesses(two: TwoProcesses): StoreKind {
  return {
    name: `${two.name}, in two processes`,
    open(options): World {
      // Real stores forget by the real time, so that a test must not begin in the past.
      const clock = new TestClock(Date.now())
      const engines = two.openEngines(options, clock.now)
      if (two.name === 'memcached') lookUpOneByOne(engines)
      return { clock, one: engines.one, two: engines.two, gate: engines.gate, close: () => engines.close() }
    },
  }
}

/** Where a store keeps no lists: whatever was begun in either process is looked for. */
function lookUpOneByOne({ here, there }: Engines): void {
  for (const { engine } of [here, there]) Object.assign(engine, { list: (userId: string) => livingOf(engine, userId) })

  async function livingOf(engine: Engine, userId: string): ReturnType<Engine['list']> {
    const ids = [...(await here.begun()), ...(await there.begun())]
    const looked = await Promise.all(ids.map(id => engine.get(id)))
    const living = looked.filter(session => session !== undefined)
    return living.filter(session => session.userId === userId).sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime())
  }
}

storeKinds.splice(0, storeKinds.length, ...found.map(overTwoProcesses))
await import('../core/laws.test.ts')
