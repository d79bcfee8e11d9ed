import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { NearCache } from '../../src/core/near-cache.ts'
import { createSessions, type Sessions } from '../../src/core/sessions.ts'
import type { SessionStore } from '../../src/core/store.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { type Gate, gatedStore } from '../../src/testing/gate.ts'
import { Browser, codeOf, facts, SECRET } from './world.ts'

/**
 * A memory store whose changes are told to watchers when the test says so: the contract itself, without a network. The
 * shared stores prove the same over real servers.
 */
class Wire {
  readonly store: SessionStore
  readonly #watchers = new Set<(id: string | null) => void>()
  /** What was changed and not yet delivered. */
  #queue: (string | null)[] = []
  /** False: changes queue up, and proofs wait for them. */
  delivering = true
  /** Makes proofs and watches fail. */
  cut = false
  /** What a watch that is being set up waits for. */
  opening: Promise<void> = Promise.resolve()
  #waiting: (() => void)[] = []

  constructor() {
    const inner = memoryStore()
    this.store = {
      ...inner,
      name: 'wire',
      cannot: {},
      replace: async (record, forgetAt) => this.#told(record.id, await inner.replace(record, forgetAt)),
      delete: async (id, userId) => this.#told(id, await inner.delete(id, userId)),
      revokeUser: async (userId, except) => {
        const ids = await inner.revokeUser(userId, except)
        for (const id of ids) this.#tell(id)
        return ids
      },
      revokeEveryone: async except => this.#told(null, await inner.revokeEveryone(except)),
      watch: async changed => {
        if (this.cut) throw new Error('cut')
        await this.opening
        this.#watchers.add(changed)
        return { prove: () => this.#prove(), close: async () => void this.#watchers.delete(changed) }
      },
    }
  }

  get watchers(): number {
    return this.#watchers.size
  }

  #told<Answer>(id: string | null, answer: Answer): Answer {
    this.#tell(id)
    return answer
  }

  #tell(id: string | null): void {
    this.#queue.push(id)
    if (this.delivering) this.deliver()
  }

  deliver(): void {
    for (const id of this.#queue.splice(0)) for (const changed of this.#watchers) changed(id)
    for (const done of this.#waiting.splice(0)) done()
  }

  #prove(): Promise<void> {
    if (this.cut) return Promise.reject(new Error('cut'))
    return this.delivering ? Promise.resolve() : new Promise(resolve => this.#waiting.push(resolve))
  }
}

describe('law 9: the near cache', () => {
  let wire: Wire
  let gate: Gate
  let near: Sessions
  let strict: Sessions
  let browser: Browser

  beforeEach(async () => {
    wire = new Wire()
    gate = gatedStore(wire.store)
    near = createSessions({ store: gate.store, secret: SECRET, production: false, nearCache: { lease: '400ms' } })
    strict = createSessions({ store: wire.store, secret: SECRET, production: false })
    browser = new Browser()
    await near.ready()
    await browser.login(strict, 'ann')
    await browser.whoAmI(near)
    gate.reset()
  })
  afterEach(() => near.close())

  test('law 9: a warm read costs no store call and no promise', () => {
    const exchange = near.open(browser.cookie, facts)
    expect(exchange).not.toBeInstanceOf(Promise)
    expect('session' in exchange && exchange.session.userId).toBe('ann')
    expect(gate.calls.read).toBe(0)
  })

  test('law 9: a session revoked elsewhere is refused as soon as the change is delivered', async () => {
    await strict.revokeUser('ann')
    expect(await browser.whoAmI(near)).toBeUndefined()
  })

  // Guard: in near-cache.ts `!fill.overtaken`.
  test('law 9: a read that is overtaken by its own invalidation is not kept', async () => {
    const other = new Browser()
    await other.login(strict, 'bob')
    const held = gate.hold('read', 'after')
    const reading = other.whoAmI(near)
    await held.arrived
    await strict.revokeUser('bob')
    held.release()
    expect(await reading).toBe('bob')
    expect(await other.whoAmI(near)).toBeUndefined()
  })

  // Guard: in near-cache.ts #start `this.#forgetAll()`.
  test('law 9: a read that was sent while the watch was lost is not kept once it is up again', async () => {
    const other = new Browser()
    await other.login(strict, 'bob')
    const lost = new Promise(resolve => near.on('near-cache.lost', resolve))
    wire.cut = true
    await lost
    await expect.poll(() => wire.watchers).toBe(0)
    const held = gate.hold('read', 'after')
    const reading = other.whoAmI(near)
    await held.arrived
    await strict.revokeUser('bob')
    const proven = new Promise(resolve => near.on('near-cache.proven', resolve))
    wire.cut = false
    await proven
    held.release()
    expect(await reading).toBe('bob')
    expect(await other.whoAmI(near)).toBeUndefined()
  })

  // Guard: the same.
  test('law 9: nor is one that was sent before the first watch was up', async () => {
    const late = Promise.withResolvers<void>()
    wire.opening = late.promise
    const starting = createSessions({ store: gate.store, secret: SECRET, production: false, nearCache: { lease: '1m' } })
    const held = gate.hold('read', 'after')
    const reading = browser.whoAmI(starting)
    await held.arrived
    await strict.revokeUser('ann')
    late.resolve()
    await starting.ready()
    held.release()
    expect(await reading).toBe('ann')
    expect(await browser.whoAmI(starting)).toBeUndefined()
    await starting.close()
  })

  // Guard: in near-cache.ts `#isLeased`.
  test('law 9: with the deliveries cut silently nothing is served past the lease, and service is back by itself', async () => {
    wire.delivering = false
    await strict.revokeUser('ann')
    expect(await browser.whoAmI(near)).toBe('ann')
    await new Promise(resolve => setTimeout(resolve, 401))
    expect(await browser.whoAmI(near)).toBeUndefined()
    wire.delivering = true
    wire.deliver()
    await browser.login(strict, 'ann')
    await expect.poll(() => readsFor(3), { timeout: 2000 }).toBeLessThan(3)
  })

  test('law 9: a watch that fails drops everything at once, is told, and comes back', async () => {
    const told: string[] = []
    near.on('near-cache.lost', () => told.push('lost'))
    near.on('near-cache.proven', () => told.push('proven'))
    wire.cut = true
    await expect.poll(() => told, { timeout: 2000 }).toEqual(['lost'])
    gate.reset()
    await browser.whoAmI(near)
    expect(gate.calls.read).toBe(1)
    wire.cut = false
    await expect.poll(() => told.at(-1), { timeout: 5000 }).toBe('proven')
  })

  // Guard: in near-cache.ts `LATEST_PROOF`.
  test('law 9: a watch that stays silent is given up and replaced, though nothing ever fails', async () => {
    const told: string[] = []
    near.on('near-cache.lost', () => told.push('lost'))
    near.on('near-cache.proven', () => told.push('proven'))
    wire.delivering = false
    await expect.poll(() => told, { timeout: 4000 }).toEqual(['lost'])
    // Only for new proofs: those that were asked for before stay unanswered.
    wire.delivering = true
    await expect.poll(() => told, { timeout: 4000 }).toEqual(['lost', 'proven'])
  })

  test('law 1: a near record never decides that a token is superseded: the store is asked', async () => {
    const held = browser.fork()
    wire.delivering = false
    await browser.request(strict, ({ session }) => session.rotate())
    expect(await browser.whoAmI(near)).toBe('ann')
    expect(await held.whoAmI(near)).toBeUndefined()
  })

  // Guard: `this.#records.delete(id)` in near-cache.ts #keep.
  test('law 9: a strict read that finds a session missing lets its near record go, delivered or not', async () => {
    const held = browser.fork()
    wire.delivering = false
    await browser.request(strict, ({ session }) => session.rotate())
    await strict.revokeUser('ann')
    expect(await held.whoAmI(near)).toBe('ann')
    expect(await browser.whoAmI(near)).toBeUndefined()
    expect(await held.whoAmI(near)).toBeUndefined()
  })

  test('law 4: what this process saved it reads at once, delivered or not', async () => {
    wire.delivering = false
    await browser.request(near, ({ session }) => Object.assign(session, { saved: 1 }))
    expect({ ...(await browser.send(near)).session }).toEqual({ userId: 'ann', saved: 1 })
  })

  test('law 2: a save from a stale near record brings nothing back', async () => {
    wire.delivering = false
    await strict.revokeUser('ann')
    const exchange = await browser.request(near, ({ session }) => Object.assign(session, { late: 1 }))
    expect(exchange.session.userId).toBe('ann')
    expect(await strict.list('ann')).toEqual([])
    expect(await browser.whoAmI(near)).toBeUndefined()
  })

  test('law 9: acts on other sessions read strictly whoever asks', async () => {
    const phone = new Browser()
    await phone.login(strict, 'ann')
    const { session } = await browser.send(near)
    const own = session.id as string
    wire.delivering = false
    await strict.revoke(own)
    const { session: stale } = await browser.send(near)
    expect(stale.userId).toBe('ann')
    expect(await codeOf(() => near.revokeOthers(stale))).toBe('NOT_AUTHENTICATED')
    expect(await phone.whoAmI(strict)).toBe('ann')
  })

  // Guard: `if (this.#pending > 0)` in request-exchange.ts confirm.
  test("law 9: a strict look waits for this request's own rotation, and does not take it for another's", async () => {
    const { session } = await browser.send(near)
    const held = gate.hold('replace', 'after')
    const rotating = session.rotate()
    await held.arrived
    const listing = near.devices(session)
    await new Promise(resolve => setImmediate(resolve))
    held.release()
    await rotating
    expect(await listing).toMatchObject([{ current: true }])
  })

  test('a store without a watch refuses the option, with its reason', () => {
    expect(() => createSessions({ store: memoryStore(), secret: SECRET, production: false, nearCache: true })).toThrow(
      /nearCache.*memory/,
    )
  })

  // Guard: in near-cache.ts `if (this.#closed) return await opened.close()`.
  test('law 11: closed while a lost watch is being set up again, it leaves no watch behind', async () => {
    let open = (): void => {}
    const lost = new Promise(resolve => near.on('near-cache.lost', resolve))
    wire.cut = true
    await lost
    await expect.poll(() => wire.watchers).toBe(0)
    let arrived = false
    wire.opening = new Promise(resolve => {
      open = resolve
    })
    const { opening } = wire
    Object.defineProperty(wire, 'opening', {
      get() {
        arrived = true
        return opening
      },
    })
    wire.cut = false
    await expect.poll(() => arrived, { timeout: 5000 }).toBe(true)
    await near.close()
    open()
    await new Promise(resolve => setTimeout(resolve, 20))
    expect(wire.watchers).toBe(0)
  })

  // Guard: in near-cache.ts #lose, that a watch is closed also after close().
  test('law 11: closed while the first proof is under way that then fails, it leaves no watch behind', async () => {
    const silent = new Wire()
    silent.delivering = false
    const cache = new NearCache(silent.store, { leaseMs: 100, max: 10 }, { proven() {}, lost() {} })
    await expect.poll(() => silent.watchers).toBe(1)
    await cache.close()
    expect(silent.watchers).toBe(0)
  })

  // Guard: in near-cache.ts `opening`.
  test('law 11: a watch that is not set up in time is given up and tried again; the late one is closed', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const slow = new Wire()
      const late = Promise.withResolvers<void>()
      slow.opening = late.promise
      const cache = new NearCache(slow.store, { leaseMs: 2000, max: 10 }, { proven() {}, lost() {} })
      const ready = cache.ready.catch(error => error)
      await vi.advanceTimersByTimeAsync(30_000)
      expect(await ready).toMatchObject({ message: expect.stringMatching(/not set up within 30000 ms/) })
      slow.opening = Promise.resolve()
      await vi.advanceTimersByTimeAsync(1000)
      expect(slow.watchers).toBe(1)
      late.resolve()
      await vi.advanceTimersByTimeAsync(1)
      expect(slow.watchers).toBe(1)
      await cache.close()
      expect(slow.watchers).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  test('ready() rejects where the watch cannot be set up', async () => {
    const broken = new Wire()
    broken.cut = true
    const sessions = createSessions({ store: broken.store, secret: SECRET, production: false, nearCache: true })
    expect(await codeOf(() => sessions.ready())).toBe('STORE_UNAVAILABLE')
    await sessions.close()
  })

  async function readsFor(requests: number): Promise<number> {
    gate.reset()
    for (let i = 0; i < requests; i++) await browser.whoAmI(near)
    return gate.calls.read
  }
})

describe('law 9: the lease', () => {
  /** Two clocks in the test's hand. */
  class Clocks {
    mono = 0
    real = 1_000_000
    monotonic = () => this.mono
    wall = () => this.real
  }

  async function warm(clocks: Clocks) {
    const { store } = new Wire()
    const sessions = createSessions({ store, secret: SECRET, production: false })
    await sessions.issue('ann')
    const [{ id } = { id: '' }] = await sessions.list('ann')
    const cache = new NearCache(store, { leaseMs: 60_000, max: 10 }, { proven() {}, lost() {} }, clocks)
    await cache.ready
    await cache.read(id)
    return { cache, id }
  }

  test.each([
    ['neither clock has moved', 0, 0, true],
    ['both are just within it', 59_999, 59_999, true],
    ['the monotonic clock is past it: a frozen process', 60_000, 0, false],
    ['only the wall clock is past it: a machine that slept', 0, 60_000, false],
    ['the wall clock went backwards', 10, -1, false],
  ])('law 9: %s', async (_name, mono, wall, served) => {
    const clocks = new Clocks()
    const { cache, id } = await warm(clocks)
    clocks.mono += mono
    clocks.real += wall
    expect(cache.get(id) !== undefined).toBe(served)
    await cache.close()
  })
})
