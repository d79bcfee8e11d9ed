import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, describe, expect, test } from 'vitest'
import { backends } from '../support/backends.ts'

const had = backends.filter(({ missing, shared }) => missing === undefined && shared)
const script = join(import.meta.dirname, '../support/guesser.ts')
const children: ChildProcess[] = []
afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
  for (const { cleanUp } of had) cleanUp()
})

/** A guessing process, ready to go. */
async function start(task: object) {
  const child = spawn(process.execPath, [script, JSON.stringify(task)], { stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  expect((await lines.next()).value).toBe('ready')
  return {
    async go(): Promise<Record<string, number>> {
      const exited = once(child, 'exit')
      child.stdin.write('go\n')
      const { value } = await lines.next()
      await exited
      return JSON.parse(value)
    },
  }
}

describe.each(had)('two processes that share $name', ({ name, address }) => {
  test.each([
    ['from one address', true],
    ['from 1000 addresses', false],
  ])('1000 parallel guesses %s on one account compute ten hashes, in both together', async (from, oneIp) => {
    const where = address()
    const email = `${crypto.randomUUID()}@example.org`
    const tasks = [0, 1].map(first => ({ address: where, email, guesses: 500, oneIp, first }))
    const processes = await Promise.all(tasks.map(start))
    const [one, two] = await Promise.all(processes.map(({ go }) => go()))
    const sum = (key: string) => (one?.[key] ?? 0) + (two?.[key] ?? 0)
    console.log(
      `${name}, ${from}: hashes ${one?.hashes} + ${two?.hashes}, throttled ${sum('throttled')}, not counted ${sum('LIMITER_UNAVAILABLE')}`,
    )
    expect(sum('hashes')).toBe(10)
    expect(sum('invalid')).toBe(10)
    expect(sum('throttled')).toBe(990)
  })
})
