import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { getPriority } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { HashThreads, hashThreads } from '../../src/passwords/hash-threads.ts'
import { PasswordHasher } from '../../src/passwords/hasher.ts'

const settings = { memoryKiB: 8, passes: 1, concurrency: 1, longestQueue: 10_000, acceptTruncatedBcrypt: false }

/** What Linux calls a hashing thread: Node 22 does not tell it the worker's name. */
const NAME = process.versions.node.startsWith('22.') ? 'node' : 'coatcheck-hashi'

/** Name, CPU time (in ticks) and nice value of each thread of this process, as Linux counts them. */
function threadsOfThisProcess() {
  return readdirSync('/proc/self/task').map(thread => {
    const [, name = '', rest = ''] = /^\d+ \((.*)\) (.*)/.exec(readFileSync(`/proc/self/task/${thread}/stat`, 'utf8')) ?? []
    const fields = rest.split(' ').map(Number)
    return { name, ticks: (fields[11] ?? 0) + (fields[12] ?? 0), nice: fields[16] }
  })
}

describe('the hashing threads', () => {
  test('give way to all others: they alone hash, and they alone have a lower priority', async () => {
    const own = getPriority()
    const threads = new HashThreads(2)
    const job = { kind: 'hash', password: 'x', cost: { memoryKiB: 65_536, passes: 3 } } as const
    await Promise.all(Array.from({ length: 12 }, () => threads.run(job)))
    expect(getPriority()).toBe(own)
    // Elsewhere a thread has no priority of its own, and that the process's is left alone is all there is to see.
    if (process.platform !== 'linux') return
    const lowered = threadsOfThisProcess().filter(({ nice }) => nice !== own)
    expect(lowered.map(({ name }) => name)).toEqual(Array(lowered.length).fill(NAME))
    const hashing = lowered.filter(({ ticks }) => ticks > 10)
    expect(hashing.map(({ nice }) => nice)).toEqual(Array(2).fill(Math.min(own + 10, 19)))
  })

  test.each(['src/passwords/hasher.ts', 'dist/passwords/hasher.js'])(
    'let the process go when there is nothing to hash, and hold it while there is (%s)',
    file => {
      const hasher = join(import.meta.dirname, '../..', file)
      const script = `
      import { PasswordHasher } from ${JSON.stringify(hasher)}
      const hasher = new PasswordHasher(${JSON.stringify(settings)})
      const stored = await hasher.hash('password')
      console.log(await hasher.verify('password', stored))`
      const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
        timeout: 20_000,
        encoding: 'utf8',
      })
      expect([status, stdout, stderr]).toEqual([0, 'match\n', ''])
    },
  )

  test('are the process’s: two that hash so many at once share them', () => {
    expect(hashThreads(3)).toBe(hashThreads(3))
    expect(hashThreads(3)).not.toBe(hashThreads(2))
  })

  test('a job that cannot be done fails alone', async () => {
    const threads = new HashThreads(1)
    const stored = '$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$broken'
    const parsed = {
      kind: 'argon2',
      variant: 'argon2id',
      version: 19,
      memoryKiB: 8,
      passes: 1,
      lanes: 1,
      salt: Buffer.from('somesalt'),
      hashBytes: 4,
    } as const
    const broken = threads.run({ kind: 'verify', password: 'x', stored, parsed })
    const fine = threads.run({ kind: 'hash', password: 'x', cost: settings })
    await expect(broken).rejects.toThrow()
    expect(await fine).toMatch(/^\$argon2id/)
  })

  test('files are read as fast while they are busy: they are not the threads that files wait for', async () => {
    const hasher = new PasswordHasher({ ...settings, memoryKiB: 65_536, passes: 3 })
    const hashes = Promise.all(Array.from({ length: 10 }, () => hasher.hash('password')))
    const times: number[] = []
    let busy = true
    void hashes.then(() => {
      busy = false
    })
    while (busy) {
      const startedAt = performance.now()
      await readFile(import.meta.filename)
      times.push(performance.now() - startedAt)
      await new Promise(resolve => setTimeout(resolve, 1))
    }
    const median = times.toSorted((a, b) => a - b)[times.length >> 1] as number
    console.log(`${times.length} files read while 10 hashes ran, median ${median.toFixed(2)} ms`)
    expect(times.length).toBeGreaterThan(50)
    expect(median).toBeLessThan(5)
  })
})
