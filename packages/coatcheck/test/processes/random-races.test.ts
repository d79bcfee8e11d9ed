import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isLong } from '../../../../test/long.ts'
import type { Exchange } from '../../src/core/exchange.ts'
import { seeded } from '../core/seeded.ts'
import { Browser, codeOf, type Engine, facts } from '../core/world.ts'
import type { BackendName } from './backends.ts'
import type { SideOptions } from './side.ts'
import { type Engines, TwoProcesses } from './two-processes.ts'

const RUNS = isLong ? 300 : 50
const ACTORS = 5
const LEASE_MS = 20_000

/** What happened in one run, as far as the promises speak of it. */
interface Log {
  /** The session that the run is about. */
  readonly id: string
  /** Keys that a request was told are saved. */
  readonly saved: string[]
  /** Cookie headers that a resolved rotation or ending has left dead. */
  readonly dead: string[]
  /** Where everybody else is revoked twice at once, a store that does it in steps may end the one that both spare. */
  readonly revokedTwice: boolean
  ended: boolean
}

/** An engine, and how many saves of it were dropped with their event: the one case in which a 200 is no promise (law 4). */
interface Racer {
  readonly engine: Engine
  readonly isNear: boolean
  dropped: number
}

/** What a request, or an admin, does to the one session. It says in the log what it was promised. */
type Act = (racer: Racer, browser: Browser, log: Log, key: string) => Promise<unknown>

/** A request of the signed-in person: handled, committed, its cookies received. True if it was promised what it asked for. */
async function request(racer: Racer, browser: Browser, log: Log, act: (exchange: Exchange) => unknown): Promise<boolean> {
  const before = racer.dropped
  const exchange = await browser.send(racer.engine)
  if (exchange.session.userId !== 'ann' || exchange.session.id !== log.id) return false
  await act(exchange)
  // Where the session had ended meanwhile, a login has begun another one; the run is about the first.
  const isSame = exchange.session.id === undefined || exchange.session.id === log.id
  browser.receive((await exchange.commit()).setCookie)
  return isSame && racer.dropped === before
}

function rotating(act: (exchange: Exchange, key: string) => unknown): Act {
  return async (racer, browser, log, key) => {
    const before = browser.cookie ?? ''
    if (await request(racer, browser, log, exchange => act(exchange, key))) log.dead.push(before)
  }
}

function ending(act: Act): Act {
  return async (racer, browser, log, key) => {
    await act(racer, browser, log, key)
    log.ended = true
  }
}

const save: Act = async (racer, browser, log, key) => {
  if (await request(racer, browser, log, ({ session }) => Object.assign(session, { [key]: 1 }))) log.saved.push(key)
}

const acts: Readonly<Record<string, Act>> = {
  save,
  'save too': save,
  'save as well': save,
  rotate: rotating(({ session }) => session.rotate()),
  'rotate too': rotating(({ session }) => session.rotate()),
  login: rotating(({ session }) => session.login('ann')),
  'change role': rotating(({ session }, key) => Object.assign(session, { role: key })),
  // Also where its own answer counts for nothing, because another request's save was dropped for it.
  logout: (racer, browser, log) =>
    request(racer, browser, log, async ({ session }) => {
      await session.logout()
      log.ended = true
    }),
  revoke: ending(({ engine }, _browser, { id }) => engine.revoke(id)),
  revokeUser: ending(({ engine }) => engine.revokeUser('ann')),
  'revokeEveryone else': ({ engine }, _browser, { id }) => engine.revokeEveryone({ except: id }),
}

/** What a request may be told that lost against a parallel one. */
const refusals = ['SESSION_SUPERSEDED', 'LOGIN_OVERTAKEN', 'SESSION_CONFLICT']

/** One schedule. True if the session was alive at its end. */
async function run(engines: Engines, racers: readonly [Racer, Racer], seed: number): Promise<boolean> {
  const next = seeded(seed)
  const names = Object.keys(acts)
  const chosen = Array.from({ length: ACTORS }, () => ({ name: names[next(names.length)] as string, where: next(2) as 0 | 1 }))
  const label = `seed ${seed}: ${chosen.map(({ name, where }) => `${name} ${['here', 'there'][where]}`).join(', ')}`
  await engines.one.revokeUser('ann')
  const browser = new Browser()
  await browser.login(engines.one, 'ann')
  const first = browser.cookie as string
  const id = (await browser.send(engines.two)).session.id as string
  const revokedTwice = chosen.filter(({ name }) => name === 'revokeEveryone else').length > 1
  const log: Log = { id, saved: [], dead: [], revokedTwice, ended: false }
  await engines.shuffle(seed)
  await Promise.all(
    chosen.map(async ({ name, where }, i) => {
      const code = await codeOf(() => acts[name]?.(racers[where], browser, log, `${name} ${i}`))
      if (code !== undefined && !refusals.includes(code)) throw new Error(`${label}: ${name} failed: ${code}`)
    }),
  )
  await engines.reset()
  if (log.ended) log.dead.push(first)
  const alive = await Promise.all(racers.map(racer => judged(racer, log, label)))
  return alive.every(Boolean)
}

/** Holds what this process finds stored against what was promised. True if the session is alive. */
async function judged({ engine, isNear }: Racer, log: Log, label: string): Promise<boolean> {
  const stored = await engine.get(log.id)
  if (log.ended) expect(stored, `${label}: an ended session is back`).toBeUndefined()
  else if (!log.revokedTwice) expect(stored, `${label}: a session that nobody ended is gone`).toBeDefined()
  for (const cookie of log.dead) {
    const whose = async () => (await engine.open(cookie, facts)).session.userId
    // With a near cache within milliseconds, and here long before a lease could run out.
    if (isNear) await expect.poll(whose, { timeout: LEASE_MS / 2, message: `${label}: a dead token signs in` }).toBeUndefined()
    else expect(await whose(), `${label}: a dead token signs in`).toBeUndefined()
  }
  for (const key of stored === undefined ? [] : log.saved)
    expect(stored?.data, `${label}: an acknowledged key is lost`).toHaveProperty([key], 1)
  return stored !== undefined
}

function racer(engine: Engine, isNear: boolean): Racer {
  const made: Racer = { engine, isNear, dropped: 0 }
  engine.on('session.dropped', () => made.dropped++)
  return made
}

/** Of those that are alike below the client one is enough: what races is the same. */
const raced: readonly BackendName[] = ['sqlite', 'redis over redis', 'postgres', 'mongo', 'memcached']

for (const name of raced) {
  const two = await TwoProcesses.over(name)
  const settings: Readonly<Record<string, SideOptions>> = {
    'strict reads': {},
    ...(two.backend.tells && { 'a near cache in both': { nearCache: { lease: LEASE_MS } } }),
  }

  describe.skipIf(two.missing)(`random races over two processes: ${name}`, () => {
    beforeAll(() => two.start())
    afterAll(() => two.end())

    test.each(Object.entries(settings))(
      `laws 1, 2 and 3 hold in ${RUNS} seeded schedules of ${ACTORS} acts: %s`,
      async (_, options) => {
        const engines = two.openEngines(options)
        await engines.ready
        const isNear = options.nearCache !== undefined
        const racers = [racer(engines.one, isNear), racer(engines.two, isNear)] as const
        let survivors = 0
        for (let seed = 1; seed <= RUNS; seed++) if (await run(engines, racers, seed)) survivors++
        await engines.close()
        console.log(`${name}: ${survivors} of ${RUNS} sessions alive at the end`)
        // Neither all sessions ended nor all lived, or the runs have shown only half.
        expect(survivors).toBeGreaterThan(RUNS / 20)
        expect(survivors).toBeLessThan((RUNS * 19) / 20)
      },
      240_000,
    )
  })
}
