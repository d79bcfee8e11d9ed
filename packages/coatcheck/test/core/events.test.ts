import { once } from 'node:events'
import { expect, test } from 'vitest'
import { Emitter } from '../../src/core/events.ts'

test('a listener that throws, or rejects, is warned of and harms neither the caller nor the other listeners', async () => {
  const heard: string[] = []
  const emitter = new Emitter<{ rang: { by: string } }>()
  emitter.on('rang', () => {
    throw new Error('first')
  })
  emitter.on('rang', () => Promise.reject(new Error('second')))
  const off = emitter.on('rang', ({ by }) => heard.push(by))
  const warnings: string[] = []
  const listen = (warning: Error) => warnings.push(warning.message)
  process.on('warning', listen)
  emitter.emit('rang', { by: 'Ann' })
  expect(heard).toEqual(['Ann'])
  await once(process, 'warning')
  await new Promise(resolve => setImmediate(resolve))
  process.off('warning', listen)
  expect(warnings).toEqual(["A listener for 'rang' threw: first", "A listener for 'rang' threw: second"])
  off()
  emitter.emit('rang', { by: 'Bob' })
  expect(heard).toEqual(['Ann'])
})
