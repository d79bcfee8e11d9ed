import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sample } from '../../../../test/long.ts'
import { createSessions } from '../../src/core/sessions.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { storeLaws } from '../../src/testing/index.ts'
import { storedRecord } from '../../src/testing/records.ts'
import { SECRET } from '../core/world.ts'
import { EACH_ONCE, TwoProcesses } from './two-processes.ts'

for (const two of sample('the store laws over two processes', await TwoProcesses.overEach(), EACH_ONCE)) {
  describe.skipIf(two.missing)(`the store laws over two processes: ${two.name}`, () => {
    beforeAll(() => two.start())
    afterAll(() => two.end())

    const { noPrune, noPlant } = two.backend
    const because = { ...(noPrune && { noPrune }), ...(noPlant && { noPlant }) }

    async function open() {
      const { here, there, ...space } = await two.openStores()
      return { ...space, store: here, second: () => there }
    }

    async function openThere() {
      const { here, there, ...space } = await two.openStores()
      return { ...space, store: there, second: () => here }
    }

    for (const law of storeLaws({ ...because, open })) test(law.name, law.run)

    describe('watched by the other process', () => {
      const watching = storeLaws({ ...because, open: openThere }).filter(({ name }) => name.startsWith('a watch '))
      for (const law of watching) test(law.name, law.run)

      test('there are such laws', () => expect(watching.length).toBeGreaterThan(3))
    })
  })
}

const alone = await TwoProcesses.over('memory')

describe(`the memory store over two processes: ${alone.backend.alone}`, () => {
  beforeAll(() => alone.start())
  afterAll(() => alone.end())

  test('what one process stores is nothing to another one', async () => {
    const { here, there, close } = await alone.openStores()
    const record = await storedRecord(here)
    expect([await here.read(record.id), await there.read(record.id)]).toEqual([record, undefined])
    await close()
  })

  test('production refuses it unless it is named', () => {
    expect(() => createSessions({ store: memoryStore(), secret: SECRET, production: true })).toThrow(/'memory-store'/)
  })
})
