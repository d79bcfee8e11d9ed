import { type ChildProcess, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, describe, expect, test } from 'vitest'
import { isLong, sample } from '../../../../test/long.ts'
import { backends } from '../support/backends.ts'
import { open } from '../support/connect.ts'
import { Browser, openWorld } from '../support/world.ts'

const here = backends.filter(({ missing, shared }) => missing === undefined && shared)
const had = sample('guessing by two processes', here, ['sqlite', 'redis by redis', 'postgres'])
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

/** Guesses from two processes at once, `guesses` from each, and what came of them together. */
async function guessFromTwo(
  task: Readonly<Record<string, unknown>> & { readonly guesses: number },
  meanwhile: () => Promise<void> = async () => {},
) {
  const net = randomInt(65_536)
  const processes = await Promise.all([0, 1].map(first => start({ first, net, ...task })))
  const [[one, two]] = await Promise.all([Promise.all(processes.map(({ go }) => go())), meanwhile()])
  const sum = (key: string) => (one?.[key] ?? 0) + (two?.[key] ?? 0)
  const counts = { hashes: sum('hashes'), throttled: sum('throttled'), unavailable: sum('LIMITER_UNAVAILABLE') }
  const words = `hashes ${one?.hashes} + ${two?.hashes}, throttled ${counts.throttled}, not looked at ${counts.unavailable}`
  // Whatever else: each hash is a guess that was told no, and each guess came to an end.
  expect(sum('invalid')).toBe(counts.hashes)
  expect(counts.hashes + counts.throttled + counts.unavailable).toBe(2 * task.guesses)
  return { ...counts, words }
}

/**
 * Never more than so many; and as many, unless a busy machine kept the backend from answering in three seconds: then tries
 * are refused unseen, those that would have been hashed among them. But the better half was judged.
 */
function expectHashes(counts: Readonly<Record<'hashes' | 'throttled' | 'unavailable', number>>, allowed: number): void {
  const { hashes, throttled, unavailable } = counts
  expect(hashes).toBeLessThanOrEqual(allowed)
  expect(hashes + unavailable).toBeGreaterThanOrEqual(allowed)
  expect(unavailable).toBeLessThan(throttled)
  if (unavailable === 0) expect(hashes).toBe(allowed)
}

const floods = [
  ['one address', 1, 10],
  ['their own addresses', 1, 10],
  ['no address', 1, 10],
  ['one address', 1000, 100],
  ['one /64', 1000, 100],
] as const

if (!isLong) console.log('guessing from elsewhere than one address: NOT RUN but over the first: npm run test:long runs them')

/** Where a guess comes from is the throttle's own to tell, whatever it counts in: all over the first of them. */
function fromWhere<Flood extends readonly [from: string, ...unknown[]]>(name: string, all: readonly Flood[]): readonly Flood[] {
  return isLong || name === had[0]?.name ? all : all.filter(([from]) => from === 'one address')
}

describe.each(had)('two processes that share $name', ({ name, address }) => {
  test.each(fromWhere(name, floods))(
    '1000 parallel guesses from %s on %i accounts compute %i hashes, in both together',
    async (from, accounts, hashes) => {
      const counts = await guessFromTwo({ address: address(), userId: crypto.randomUUID(), accounts, from, guesses: 500 })
      console.log(`${name}, from ${from}, accounts ${accounts}: ${counts.words}`)
      expectHashes(counts, hashes)
    },
  )

  test.each(fromWhere(name, [['one address'], ['their own addresses']] as const))(
    'meanwhile the owner signs in from a known browser: guesses from %s',
    async from => {
      const where = address()
      const { limiter, close } = await open(where)
      const here = openWorld({ limiter })
      try {
        const { id, email } = await here.person('k7#pQz!w and more')
        const owner = new Browser(here.sessions)
        const login = () =>
          owner.request(session => here.auth.login(session, { identifier: email, password: 'k7#pQz!w and more' }))
        expect(await login()).toMatchObject({ ok: true })
        const counts = await guessFromTwo({ address: where, userId: id, accounts: 1, from, guesses: 100 }, async () => {
          for (let round = 0; round < 5; round++) expect(await login()).toMatchObject({ ok: true })
        })
        console.log(`${name}, the owner in between, from ${from}: ${counts.words}`)
        expectHashes(counts, 10)
        expect(await login()).toMatchObject({ ok: true })
        const stranger = new Browser(here.sessions, '198.51.100.9')
        const refused = stranger.request(session =>
          here.auth.login(session, { identifier: email, password: 'k7#pQz!w and more' }),
        )
        expect(await refused).toMatchObject({ reason: 'throttled' })
      } finally {
        await here.close()
        // SQLite's connection is the limiter's own, and closed with it.
        if (where.kind !== 'sqlite') await close()
      }
    },
  )
})
