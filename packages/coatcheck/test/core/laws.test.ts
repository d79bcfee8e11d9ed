import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Exchange } from '../../src/core/exchange.ts'
import { Browser, codeOf, openWorld, storeKinds, type World } from './world.ts'

/** Fields that the tests store beside `userId` and `role`. */
type Free = Record<string, unknown>

const free = (exchange: Exchange): Free => exchange.session as unknown as Free
const outage = new Error('connection reset')

describe.each(storeKinds)('the engine on $name', kind => {
  let world: World
  let browser: Browser

  beforeEach(() => {
    world = openWorld(kind)
    browser = new Browser()
  })
  afterEach(() => world.close())

  describe('law 1: identity change rotates', () => {
    test('law 1: the token from before a login, a step-up, a role change or rotate() is dead at once, in every process', async () => {
      const acts: [string, (exchange: Exchange) => unknown][] = [
        ['login', ({ session }) => session.login('ann')],
        ['step-up', ({ session }) => session.login('ann')],
        ['role', exchange => Object.assign(exchange.session, { role: 'admin' })],
        ['rotate', ({ session }) => session.rotate()],
      ]
      await browser.request(world.one, exchange => Object.assign(exchange.session, { cart: ['tea'] }))
      for (const [name, act] of acts) {
        const before = browser.fork()
        await browser.request(world.one, act)
        expect(await before.whoAmI(world.two), name).toBeUndefined()
        expect((await before.send(world.two)).session.id, name).toBeUndefined()
        expect(await browser.whoAmI(world.two), name).toBe('ann')
      }
      expect(free(await browser.send(world.two))).toEqual({ cart: ['tea'], userId: 'ann', role: 'admin' })
    })

    test('law 1: an assigned userId alone is a login: rotated, filed under the person, the visitor data kept', async () => {
      await browser.request(world.one, exchange => Object.assign(exchange.session, { cart: ['tea'], returnTo: '/pay' }))
      const visitor = browser.fork()
      const id = (await browser.send(world.one)).session.id
      await browser.request(world.one, exchange => Object.assign(exchange.session, { userId: 'ann' }))
      expect([...browser.jar.keys()]).toEqual(['sid'])
      expect((await world.two.list('ann')).map(one => one.id)).toEqual([id])
      expect((await visitor.send(world.two)).session.id).toBeUndefined()
      expect(free(await browser.send(world.two))).toEqual({ cart: ['tea'], returnTo: '/pay', userId: 'ann' })
      expect((await browser.send(world.two)).session.authenticatedAt).toEqual(new Date(world.clock.now()))
    })

    test('law 1: one person after another: nothing of the first goes over but what keep names', async () => {
      await browser.login(world.one, 'ann')
      await browser.request(world.one, exchange => Object.assign(exchange.session, { cart: ['tea'], theme: 'dark' }))
      const ann = browser.fork()
      await browser.request(world.one, async exchange => {
        free(exchange).early = 'of ann'
        await exchange.session.login('bob', { keep: ['theme' as never] })
        free(exchange).late = 'of bob'
      })
      expect(free(await browser.send(world.two))).toEqual({ userId: 'bob', theme: 'dark', late: 'of bob' })
      expect(await ann.whoAmI(world.two)).toBeUndefined()
      expect(await world.two.list('ann')).toEqual([])
      expect(await world.two.list('bob')).toHaveLength(1)
    })

    test('law 1: an assignment that turns one person into another is refused, and both stay as they were', async () => {
      await browser.login(world.one, 'ann')
      const change = () => browser.request(world.one, exchange => Object.assign(exchange.session, { userId: 'bob' }))
      expect(await codeOf(change)).toBe('IDENTITY_CHANGED')
      expect(await browser.whoAmI(world.two)).toBe('ann')
      expect(await world.two.list('bob')).toEqual([])
    })

    test('law 1: a session whose userId is deleted ends, and nothing of it is left', async () => {
      await browser.login(world.one, 'ann')
      const ann = browser.fork()
      await browser.request(world.one, ({ session }) => delete session.userId)
      expect([...browser.jar.keys()]).toEqual([])
      expect(await ann.whoAmI(world.two)).toBeUndefined()
    })

    test('law 1: a role change makes nothing fresh; a login of the same person does, and keeps the id', async () => {
      await browser.login(world.one, 'ann')
      const { id, authenticatedAt } = (await browser.send(world.one)).session
      world.clock.advance(60_000)
      await browser.request(world.one, exchange => Object.assign(exchange.session, { role: 'admin' }))
      expect((await browser.send(world.one)).session.authenticatedAt).toEqual(authenticatedAt)
      await browser.login(world.one, 'ann')
      const again = (await browser.send(world.one)).session
      expect(again.id).toBe(id)
      expect(again.authenticatedAt).toEqual(new Date(world.clock.now()))
    })
  })

  describe('law 2: the dead stay dead', () => {
    /** What another request, device or admin does while a slow request is under way. */
    const endings: Record<string, (other: Browser, id: string) => unknown> = {
      logout: other => other.request(world.two, ({ session }) => session.logout()),
      'login as another': other => other.login(world.two, 'bob'),
      'login again': other => other.login(world.two, 'ann'),
      rotate: other => other.request(world.two, ({ session }) => session.rotate()),
      'role change': other => other.request(world.two, exchange => Object.assign(exchange.session, { role: 'boss' })),
      revoke: (_other, id) => world.two.revoke(id),
      revokeUser: () => world.two.revokeUser('ann'),
      revokeEveryone: () => world.two.revokeEveryone(),
      expiry: () => world.clock.advance(31 * 86_400_000),
    }
    const rotations = ['login again', 'rotate', 'role change']

    /** The three ways in which a save can meet an ending. Without `hold` the ending comes before the save begins. */
    const timings = ['ended before the save', 'ended while the save was held', 'ended while the reply was held'] as const

    // Guards: in writer.ts `if (current.tokenHash !== presentedHash) return 'superseded'` (rotations), in the stores
    // 'gone' from replace instead of an insert (the others).
    for (const [name, ending] of Object.entries(endings)) {
      test.each(timings)(`law 2: a slow request that changes its session brings nothing back: ${name}, %s`, async timing => {
        await browser.login(world.one, 'ann')
        const old = browser.fork()
        const slow = await browser.send(world.one)
        free(slow).late = 'change'
        const held = holdFor(timing)
        const saving = timing === 'ended before the save' ? undefined : codeOf(() => slow.commit())
        if (held) await held.arrived
        await ending(browser, slow.session.id as string)
        held?.release()
        const code = await (saving ?? codeOf(() => slow.commit()))
        if (timing !== 'ended while the reply was held')
          expect(code).toBe(rotations.includes(name) ? 'SESSION_SUPERSEDED' : undefined)
        expect(await old.whoAmI(world.one)).toBeUndefined()
        expect(await old.whoAmI(world.two)).toBeUndefined()
        expect(await world.two.list('ann')).toHaveLength(rotations.includes(name) ? 1 : 0)
      })
    }

    function holdFor(timing: (typeof timings)[number]) {
      if (timing === 'ended before the save') return undefined
      return world.gate.hold('replace', timing === 'ended while the save was held' ? 'before' : 'after')
    }

    test.each(Object.keys(endings))('law 2: a touch in flight brings nothing back: %s', async name => {
      await browser.login(world.one, 'ann')
      const old = browser.fork()
      const { id } = (await browser.send(world.one)).session
      world.clock.advance(301_000)
      const held = world.gate.hold('touch')
      const touching = browser.send(world.one)
      await held.arrived
      await endings[name]?.(browser.fork(), id as string)
      held.release()
      await touching
      expect(await old.whoAmI(world.two)).toBeUndefined()
    })

    test.each(Object.keys(endings))('law 2: a rotation in flight brings nothing back: %s', async name => {
      await browser.login(world.one, 'ann')
      const old = browser.fork()
      const other = browser.fork()
      const slow = await browser.send(world.one)
      const held = world.gate.hold('replace')
      const rotating = codeOf(async () => {
        await slow.session.rotate()
        browser.receive((await slow.commit()).setCookie)
      })
      await held.arrived
      await endings[name]?.(other, slow.session.id as string)
      held.release()
      expect(await rotating).toBe(rotations.includes(name) ? 'SESSION_SUPERSEDED' : undefined)
      expect(await old.whoAmI(world.two)).toBeUndefined()
      expect(await browser.whoAmI(world.two)).toBeUndefined()
    })

    // Guard: in writer.ts `this.#isDead(current)`.
    test('law 2: a save of a request during which the session ran out is dropped with its event', async () => {
      await browser.login(world.one, 'ann')
      const dropped: unknown[] = []
      world.one.on('session.dropped', event => dropped.push(event))
      const slow = await browser.send(world.one)
      free(slow).late = 1
      world.clock.advance(24 * 3_600_000)
      world.gate.reset()
      await slow.commit()
      expect(dropped).toEqual([{ id: expect.any(String), userId: 'ann' }])
      expect(world.gate.calls.replace).toBe(0)
    })

    // Guard: in request-exchange.ts `this.#standing === 'live'` of `#saveLate`.
    test('law 4: a change after the first byte whose session has ended is told as dropped, and not as saved', async () => {
      await browser.login(world.one, 'ann')
      const told: string[] = []
      for (const name of ['session.late', 'session.dropped'] as const) world.one.on(name, () => told.push(name))
      const slow = await browser.send(world.one)
      await slow.session.reload()
      await slow.commit()
      free(slow).late = 1
      await world.two.revokeUser('ann')
      await slow.finish()
      expect(told).toEqual(['session.dropped'])
    })

    test('law 2: after an ended session was noticed, no later change of that request is born again under its name', async () => {
      await browser.login(world.one, 'ann')
      const slow = await browser.send(world.one)
      free(slow).one = 1
      await world.two.revokeUser('ann')
      await slow.session.save()
      free(slow).two = 2
      expect((await slow.commit()).setCookie).toEqual([])
      expect(await world.two.list('ann')).toEqual([])
    })

    test('law 2: a superseded request that writes gets an error, one that only reads is anonymous, one that logs out ends it', async () => {
      await browser.login(world.one, 'ann')
      const stale = browser.fork()
      await browser.login(world.one, 'ann')
      expect(await codeOf(() => stale.fork().request(world.two, exchange => Object.assign(exchange.session, { a: 1 })))).toBe(
        'SESSION_SUPERSEDED',
      )
      expect(await stale.fork().whoAmI(world.two)).toBeUndefined()
      await stale.request(world.two, ({ session }) => session.logout())
      expect(stale.cookie).toBeUndefined()
      expect(await browser.whoAmI(world.one)).toBeUndefined()
      expect(await world.one.list('ann')).toEqual([])
    })

    test('law 2: a superseded request that logs in starts a fresh session', async () => {
      await browser.login(world.one, 'ann')
      const stale = browser.fork()
      await browser.request(world.one, ({ session }) => session.rotate())
      await stale.login(world.two, 'ann')
      expect(await stale.whoAmI(world.one)).toBe('ann')
      expect(await browser.whoAmI(world.two)).toBe('ann')
      expect(await world.one.list('ann')).toHaveLength(2)
    })

    test('law 2: a superseded request that saved, and swallowed the error, still gets no session at commit', async () => {
      await browser.login(world.one, 'ann')
      const slow = await browser.send(world.one)
      await browser.request(world.two, ({ session }) => session.rotate())
      free(slow).late = 1
      expect(await codeOf(() => slow.session.save())).toBe('SESSION_SUPERSEDED')
      expect(await codeOf(() => slow.commit())).toBe('SESSION_SUPERSEDED')
      expect(await world.one.list('ann')).toHaveLength(1)
    })

    test('law 2: two logins at once in one visitor session: both are signed in, neither gets the data of the other', async () => {
      await browser.request(world.one, exchange => Object.assign(exchange.session, { cart: ['tea'] }))
      const tab = browser.fork()
      const [ann, bob] = [await browser.send(world.one), await tab.send(world.two)]
      Object.assign(bob.session, { bobs: true })
      await ann.session.login('ann')
      await bob.session.login('bob')
      browser.receive((await ann.commit()).setCookie)
      tab.receive((await bob.commit()).setCookie)
      expect(free(await browser.send(world.two))).toEqual({ cart: ['tea'], userId: 'ann' })
      expect(free(await tab.send(world.one))).toEqual({ bobs: true, userId: 'bob' })
    })
  })

  describe('law 3: no lost updates', () => {
    // Guards: in the stores' rules `stored.version !== record.version - 1`, in request-exchange.ts `mergeData`.
    test('law 3: 200 parallel requests over two engines, each setting its own key, lose no acknowledged key', async () => {
      await browser.login(world.one, 'ann')
      const exchanges = await Promise.all(Array.from({ length: 200 }, (_, i) => browser.send(i % 2 ? world.one : world.two)))
      const codes = await Promise.all(
        exchanges.map((exchange, i) => {
          free(exchange)[`key${i}`] = i
          return codeOf(() => exchange.commit())
        }),
      )
      const stored = free(await browser.send(world.one))
      codes.forEach((code, i) => {
        if (code === undefined) expect(stored[`key${i}`]).toBe(i)
      })
      expect(codes.filter(code => code === undefined).length).toBeGreaterThan(150)
      expect(codes.filter(code => code !== undefined && code !== 'SESSION_CONFLICT')).toEqual([])
    })

    // Guard: in turns.ts `if (line.busy) await this.#turn(…)`; without it they would race each other through the store.
    test('law 3: in one process saves of one session queue: each is one write, and none meets a conflict', async () => {
      await browser.login(world.one, 'ann')
      const exchanges = await Promise.all(Array.from({ length: 50 }, () => browser.send(world.one)))
      world.gate.reset()
      await Promise.all(
        exchanges.map((exchange, i) => {
          free(exchange)[`key${i}`] = i
          return exchange.commit()
        }),
      )
      expect(world.gate.calls).toMatchObject({ replace: 50, read: 0 })
      expect(Object.keys(free(await browser.send(world.two)))).toHaveLength(51)
    })

    test('law 3: a changed key wins whole, a deleted key stays deleted, and nothing is merged deeply', async () => {
      await browser.login(world.one, 'ann')
      await browser.request(world.one, exchange => Object.assign(exchange.session, { list: [1, 2], gone: 1, kept: 1 }))
      const slow = await browser.send(world.one)
      await browser.request(world.two, exchange => Object.assign(exchange.session, { list: [1, 2, 3], kept: 2 }))
      free(slow).list = [9]
      delete free(slow).gone
      await slow.commit()
      expect(free(await browser.send(world.two))).toEqual({ userId: 'ann', list: [9], kept: 2 })
    })

    test('law 3: after a save that met another, further changes of the same request still lose nothing', async () => {
      await browser.login(world.one, 'ann')
      const slow = await browser.send(world.one)
      await browser.request(world.two, exchange => Object.assign(exchange.session, { other: 1 }))
      free(slow).mine = 1
      await slow.session.save()
      await browser.request(world.two, exchange => Object.assign(exchange.session, { other: 2 }))
      free(slow).more = 1
      await slow.commit()
      expect(free(await browser.send(world.one))).toEqual({ userId: 'ann', other: 2, mine: 1, more: 1 })
    })
  })

  describe('law 6: an outage is not an answer', () => {
    test.each(['before', 'after'] as const)(
      'law 6: a save whose first try fails %s it took effect is done by the second',
      async moment => {
        await browser.login(world.one, 'ann')
        world.gate.failNext('replace', moment, outage)
        await browser.request(world.one, exchange => Object.assign(exchange.session, { kept: 1 }))
        expect(free(await browser.send(world.two))).toEqual({ userId: 'ann', kept: 1 })
      },
    )

    test.each(['before', 'after'] as const)(
      'law 6: a rotation whose first try fails %s it took effect is done by the second',
      async moment => {
        await browser.login(world.one, 'ann')
        const old = browser.fork()
        world.gate.failNext('replace', moment, outage)
        await browser.request(world.one, ({ session }) => session.rotate())
        expect(await old.whoAmI(world.two)).toBeUndefined()
        expect(await browser.whoAmI(world.two)).toBe('ann')
      },
    )

    test.each(['before', 'after'] as const)(
      'law 6: a save that fails twice %s it took effect is a 503, and signs nobody out',
      async moment => {
        await browser.login(world.one, 'ann')
        world.gate.failNext('replace', moment, outage)
        world.gate.failNext('replace', moment, outage)
        const change = () => browser.request(world.one, exchange => Object.assign(exchange.session, { kept: 1 }))
        expect(await codeOf(change)).toBe('STORE_UNAVAILABLE')
        expect(await browser.whoAmI(world.one)).toBe('ann')
      },
    )

    // Guard: in writer.ts `if (rotates && mayHaveLanded) await this.endUnknown(next)`.
    test.each(['before', 'after'] as const)(
      'law 6: a rotation whose outcome stays unknown (%s) ends the session: the old token never goes on',
      async moment => {
        await browser.login(world.one, 'ann')
        world.gate.failNext('replace', moment, outage)
        world.gate.failNext('replace', moment, outage)
        expect(await codeOf(() => browser.request(world.one, ({ session }) => session.rotate()))).toBe('STORE_UNAVAILABLE')
        expect(await browser.whoAmI(world.one)).toBeUndefined()
        expect(await browser.whoAmI(world.two)).toBeUndefined()
      },
    )

    // Guard: in writer.ts `isDoomed`, asked by engine.ts before each read.
    test('law 6: a rotation of unknown outcome whose ending fails too is ended before that token is answered again', async () => {
      await browser.login(world.one, 'ann')
      world.gate.failNext('replace', 'before', outage)
      world.gate.failNext('replace', 'before', outage)
      world.gate.failNext('delete', 'before', outage)
      const ended: unknown[] = []
      world.one.on('session.ended', event => ended.push(event))
      expect(await codeOf(() => browser.request(world.one, ({ session }) => session.rotate()))).toBe('STORE_UNAVAILABLE')
      world.gate.failNext('delete', 'before', outage)
      expect(await codeOf(() => browser.send(world.one))).toBe('STORE_UNAVAILABLE')
      expect(ended).toEqual([])
      expect(await browser.whoAmI(world.one)).toBeUndefined()
      expect(ended).toEqual([{ id: expect.any(String), userId: 'ann', reason: 'unknown-rotation' }])
      expect(await world.two.list('ann')).toEqual([])
    })

    // Guard: in doomed.ts the race in `close`.
    test('law 6: what an outage left to be ended is ended by close(): no later process takes its old token', async () => {
      await browser.login(world.one, 'ann')
      for (const method of ['replace', 'replace', 'delete'] as const) world.gate.failNext(method, 'before', outage)
      expect(await codeOf(() => browser.login(world.one, 'ann'))).toBe('STORE_UNAVAILABLE')
      expect(await browser.whoAmI(world.two)).toBe('ann')
      await world.one.close()
      expect(await browser.whoAmI(world.two)).toBeUndefined()
      expect(await world.two.list('ann')).toEqual([])
    })

    test.each(['before', 'after'] as const)(
      'law 6: a login whose create is lost %s it took effect lands under a fresh id; no second session is left',
      async moment => {
        world.gate.failNext('create', moment, outage)
        await browser.login(world.one, 'ann')
        expect(await browser.whoAmI(world.two)).toBe('ann')
        await expect.poll(() => world.two.list('ann'), { timeout: 4000 }).toHaveLength(1)
      },
    )

    // Guard: in writer.ts `current.tokenHash === rotation.tokenHash`.
    test('law 6: a rotation that landed, lost its reply and was then overtaken by another write is known as its own', async () => {
      await browser.login(world.one, 'ann')
      const exchange = await browser.send(world.one)
      const held = world.gate.hold('replace', 'after')
      const rotating = exchange.session.rotate()
      await held.arrived
      await world.two.revokeEveryone({ except: exchange.session.id as string })
      held.fail(outage)
      await rotating
      browser.receive((await exchange.commit()).setCookie)
      expect(await browser.whoAmI(world.two)).toBe('ann')
    })

    // Guard: in writer.ts `if (mayHaveRotated) await this.endUnknown(tried)`.
    test('law 6: a rotation that landed, was overtaken and cannot be looked for ends the session', async () => {
      await browser.login(world.one, 'ann')
      const ended: unknown[] = []
      world.one.on('session.ended', ({ reason }) => ended.push(reason))
      const exchange = await browser.send(world.one)
      const held = world.gate.hold('replace', 'after')
      const rotating = codeOf(() => exchange.session.rotate())
      await held.arrived
      await world.two.revokeEveryone({ except: exchange.session.id as string })
      world.gate.failNext('read', 'before', outage)
      held.fail(outage)
      expect(await rotating).toBe('STORE_UNAVAILABLE')
      expect(ended).toEqual(['unknown-rotation'])
      expect(await world.two.list('ann')).toEqual([])
      expect(await browser.whoAmI(world.one)).toBeUndefined()
    })

    // Guard: in writer.ts `outcome === 'unsure' &&`.
    test('law 6: a rotation that surely did not land, and cannot be tried again, signs nobody out', async () => {
      await browser.login(world.one, 'ann')
      const slow = await browser.send(world.one)
      await browser.request(world.two, exchange => Object.assign(exchange.session, { other: 1 }))
      world.gate.failNext('read', 'before', outage)
      expect(await codeOf(() => slow.session.rotate())).toBe('STORE_UNAVAILABLE')
      expect(await browser.whoAmI(world.one)).toBe('ann')
    })

    test('law 6: a rotation that landed is handed out also where the save after it fails', async () => {
      await browser.login(world.one, 'ann')
      const exchange = await browser.send(world.one)
      await exchange.session.login('ann')
      world.gate.failNext('replace', 'before', outage)
      world.gate.failNext('replace', 'before', outage)
      free(exchange).note = 1
      expect(await codeOf(() => exchange.commit())).toBe('STORE_UNAVAILABLE')
      browser.receive(exchange.owed)
      expect(await browser.whoAmI(world.two)).toBe('ann')
    })

    test('law 6: a logout that failed is not made good by a save that had nothing to do', async () => {
      await browser.login(world.one, 'ann')
      const exchange = await browser.send(world.one)
      world.gate.failNext('delete', 'before', outage)
      world.gate.failNext('delete', 'before', outage)
      const out = codeOf(() => exchange.session.logout())
      await exchange.session.save()
      expect(await out).toBe('STORE_UNAVAILABLE')
      expect(await codeOf(() => exchange.commit())).toBe('STORE_UNAVAILABLE')
    })

    test('law 6: a login that cannot be stored is an error, and the response cannot say otherwise', async () => {
      world.gate.onCall(call => {
        if (call.method === 'create') throw outage
      })
      const exchange = await browser.send(world.one)
      expect(await codeOf(() => exchange.session.login('ann'))).toBe('STORE_UNAVAILABLE')
      expect(await codeOf(() => exchange.commit())).toBe('STORE_UNAVAILABLE')
      expect(free(exchange)).toEqual({})
    })

    test('law 6: a logout that the store did not hear is an error, and the person is still signed in', async () => {
      await browser.login(world.one, 'ann')
      world.gate.failNext('delete', 'before', outage)
      world.gate.failNext('delete', 'before', outage)
      expect(await codeOf(() => browser.request(world.one, ({ session }) => session.logout()))).toBe('STORE_UNAVAILABLE')
      expect(await browser.whoAmI(world.one)).toBe('ann')
      await browser.request(world.one, ({ session }) => session.logout())
      expect(browser.cookie).toBeUndefined()
    })

    test('law 6: a login as another person that cannot end the first session leaves the first signed in', async () => {
      await browser.login(world.one, 'ann')
      let failures = 2
      world.gate.onCall(call => {
        if (call.method === 'delete' && call.moment === 'before' && failures-- > 0) throw outage
      })
      expect(await codeOf(() => browser.login(world.one, 'bob'))).toBe('STORE_UNAVAILABLE')
      world.gate.onCall(undefined)
      expect(await browser.whoAmI(world.one)).toBe('ann')
      expect(await world.one.list('bob')).toEqual([])
    })

    // Guard: in request-exchange.ts `await this.#engine.writer.abandon(this.#living.id)`.
    test('law 6: nor does its ghost stay: what was born for the other, and never handed out, ends as soon as the store answers', async () => {
      await browser.login(world.one, 'ann')
      await browser.request(world.one, exchange => Object.assign(exchange.session, { cart: ['tea'] }))
      world.gate.onCall(call => {
        if (call.method === 'delete') throw outage
      })
      const exchange = await browser.send(world.one)
      expect(await codeOf(() => exchange.session.login('bob', { data: { role: 'admin' } as never }))).toBe('STORE_UNAVAILABLE')
      expect(free(exchange)).toEqual({ userId: 'ann', cart: ['tea'] })
      expect(await codeOf(() => exchange.commit())).toBe('STORE_UNAVAILABLE')
      expect(exchange.owed).toEqual([])
      expect(await world.two.list('bob')).toHaveLength(1)
      world.gate.onCall(undefined)
      await expect.poll(() => world.two.list('bob'), { timeout: 20_000 }).toEqual([])
      expect(await browser.whoAmI(world.one)).toBe('ann')
    })

    // Guard: in request-exchange.ts `this.#pending > 0` of `finish`.
    test('law 6: acts that nobody awaited are done, or their failure told, before the last byte', async () => {
      await browser.login(world.one, 'ann')
      for (const fails of [false, true]) {
        const exchange = await browser.send(world.one)
        await exchange.session.reload()
        await exchange.commit()
        const held = world.gate.hold('delete')
        const forgotten = codeOf(() => exchange.session.logout())
        await held.arrived
        if (fails) world.gate.failNext('delete', 'before', outage)
        const finished = codeOf(() => exchange.finish())
        if (fails) held.fail(outage)
        else held.release()
        expect(await finished).toBe(fails ? 'STORE_UNAVAILABLE' : undefined)
        expect(await forgotten).toBe(fails ? 'STORE_UNAVAILABLE' : undefined)
        expect(await browser.whoAmI(world.two)).toBe(fails ? 'ann' : undefined)
        if (!fails) await browser.login(world.one, 'ann')
      }
    })

    // Guard: in request-exchange.ts `this.#failure !== undefined` of `finish`.
    test.each([
      ['logout', 'delete'],
      ['reload', 'read'],
    ] as const)(
      'law 6: a %s after the first byte that failed, and that nobody awaited, is told before the last',
      async (act, method) => {
        await browser.login(world.one, 'ann')
        const exchange = await browser.send(world.one)
        await exchange.session.reload()
        await exchange.commit()
        for (let i = 0; i < 2; i++) world.gate.failNext(method, 'before', outage)
        expect(await codeOf(() => exchange.session[act]())).toBe('STORE_UNAVAILABLE')
        world.gate.reset()
        expect(await codeOf(() => exchange.finish())).toBe('STORE_UNAVAILABLE')
        expect(await browser.whoAmI(world.two)).toBe('ann')
      },
    )

    test('law 6: a read that fails answers nobody; requests without a token go on', async () => {
      await browser.login(world.one, 'ann')
      world.gate.onCall(() => {
        throw outage
      })
      expect(await codeOf(() => browser.send(world.one))).toBe('STORE_UNAVAILABLE')
      expect(await new Browser().whoAmI(world.one)).toBeUndefined()
    })

    test('law 6: a touch that fails costs nobody anything, is told, and is tried again', async () => {
      await browser.login(world.one, 'ann')
      const told: string[] = []
      world.one.on('store.failed', ({ operation }) => told.push(operation))
      world.clock.advance(301_000)
      world.gate.failNext('touch', 'before', outage)
      expect(await browser.whoAmI(world.one)).toBe('ann')
      await browser.send(world.one)
      expect(told).toEqual(['touch'])
      expect((await world.two.list('ann'))[0]?.lastSeenAt).toEqual(new Date(world.clock.now()))
    })
  })

  describe('law 11: bounded', () => {
    // Guard: in writer.ts `TURNS`; without a bound each of them keeps its request and its data alive.
    test('law 11: of the saves of one session 500 wait behind the one at work; the rest is refused, and none acknowledged is lost', async () => {
      await browser.login(world.one, 'ann')
      const exchanges = await Promise.all(Array.from({ length: 511 }, () => browser.send(world.one)))
      const held = world.gate.hold('replace')
      const codes = exchanges.map((exchange, i) => {
        free(exchange)[`key${i}`] = i
        return codeOf(() => exchange.commit())
      })
      expect(await Promise.all(codes.slice(501))).toEqual(Array.from({ length: 10 }, () => 'SESSION_CONFLICT'))
      held.release()
      expect((await Promise.all(codes.slice(0, 501))).filter(Boolean)).toEqual([])
      expect(Object.keys(free(await browser.send(world.two)))).toHaveLength(502)
    })

    // Guard: in doomed.ts `if (this.#inRound) return`.
    test('law 11: a store that never answers is asked once, and not ever more often, to end what is still to be ended', async () => {
      const silence = Promise.withResolvers<void>()
      let asked = 0
      world.gate.onCall(({ method, moment }) => {
        if (method === 'create' && moment === 'before') throw outage
        if (method !== 'delete') return
        asked++
        return silence.promise
      })
      expect(await codeOf(() => browser.login(world.one, 'ann'))).toBe('STORE_UNAVAILABLE')
      await expect.poll(() => asked, { timeout: 20_000 }).toBe(1)
      await new Promise(resolve => setTimeout(resolve, 1500))
      expect(asked).toBe(1)
      silence.resolve()
    })

    test('law 11: what is no session id asks no store: a typed error, and no outage', async () => {
      await browser.login(world.one, 'ann')
      const { session } = await browser.send(world.one)
      world.gate.reset()
      for (const id of [7, null, undefined, {}, ['x'], true] as unknown as string[]) {
        const acts = [
          () => world.one.get(id),
          () => world.one.revoke(id),
          () => world.one.revokeDevice(session, id),
          () => world.one.revokeUser('ann', { except: id ?? (7 as never) }),
          () => world.one.revokeEveryone({ except: id ?? (7 as never) }),
          () => world.one.scan({ after: id ?? (7 as never) }),
        ]
        for (const act of acts) expect(await codeOf(act), `${String(act)} with ${typeof id}`).toBe('BAD_OPTION')
      }
      expect(Object.values(world.gate.calls).every(count => count === 0)).toBe(true)
    })
  })

  describe('law 8: two clocks', () => {
    const hour = 3_600_000

    test('law 8: an idle session is never served late, also where the store still has it', async () => {
      await browser.login(world.one, 'ann')
      world.clock.advance(24 * hour - 1)
      expect(await browser.fork().whoAmI(world.two)).toBe('ann')
      world.clock.advance(24 * hour - 1)
      expect(await browser.whoAmI(world.two)).toBe('ann')
      world.clock.advance(24 * hour)
      expect(await browser.whoAmI(world.two)).toBeUndefined()
    })

    test('law 8: touches, saves and rotations never extend the absolute lifetime; a new sign-in starts it anew', async () => {
      await browser.login(world.one, 'ann')
      for (let i = 0; i < 30 * 2 - 1; i++) {
        world.clock.advance(12 * hour)
        await browser.request(world.one, async ({ session }) => {
          Object.assign(session, { i })
          if (i % 7 === 0) await session.rotate()
        })
      }
      expect(await browser.whoAmI(world.one)).toBe('ann')
      const renewed = browser.fork()
      await renewed.login(world.one, 'ann')
      world.clock.advance(12 * hour)
      expect(await browser.whoAmI(world.one)).toBeUndefined()
      expect(await renewed.whoAmI(world.one)).toBe('ann')
    })

    test('law 8: at most one store write in touchEvery for a session that is only read', async () => {
      await browser.login(world.one, 'ann')
      world.gate.reset()
      for (let i = 0; i < 600; i++) {
        world.clock.advance(1000)
        await browser.request(world.one, ({ session }) => session.userId)
      }
      expect(world.gate.calls).toMatchObject({ read: 600, touch: 2, replace: 0, create: 0, delete: 0 })
    })

    test('law 8: a save of a long request ends neither later nor earlier than its arrival says', async () => {
      await browser.login(world.one, 'ann')
      const slow = await browser.send(world.one)
      world.clock.advance(2 * hour)
      await browser.request(world.two)
      free(slow).late = 1
      await slow.commit()
      expect((await world.one.list('ann'))[0]?.lastSeenAt).toEqual(new Date(world.clock.now()))
    })

    test('law 8: a remembered login does not idle out, and ends with the absolute lifetime', async () => {
      const exchange = await browser.send(world.one)
      await exchange.session.login('ann', { remember: true })
      const { setCookie } = await exchange.commit()
      browser.receive(setCookie)
      expect(setCookie[0]).toContain('Max-Age=2592000;')
      world.clock.advance(29 * 24 * hour)
      expect(await browser.whoAmI(world.two)).toBe('ann')
      world.clock.advance(24 * hour)
      expect(await browser.whoAmI(world.two)).toBeUndefined()
    })
  })

  describe('law 10: nobody is tracked for nothing', () => {
    test('law 10: a visitor for whom nothing was stored costs no store call and gets no cookie', async () => {
      world.gate.reset()
      const exchange = await browser.request(world.one, ({ session }) => session.userId)
      expect(exchange.session.id).toBeUndefined()
      expect(browser.cookie).toBeUndefined()
      expect(Object.values(world.gate.calls).every(count => count === 0)).toBe(true)
    })

    test('law 10: a value set and deleted again within the request stores nothing', async () => {
      await browser.request(world.one, exchange => {
        free(exchange).flash = 'x'
        delete free(exchange).flash
      })
      expect(browser.cookie).toBeUndefined()
    })
  })

  describe('revocation', () => {
    test('a login whose credentials were checked before revokeUser does not outlive it', async () => {
      const attempt = await world.one.attempt('ann')
      await world.two.revokeUser('ann')
      const login = browser.request(world.one, ({ session }) => session.login('ann', { attempt }))
      expect(await codeOf(() => login)).toBe('LOGIN_OVERTAKEN')
      expect(await world.two.list('ann')).toEqual([])
      await browser.login(world.one, 'ann')
      expect(await browser.whoAmI(world.two)).toBe('ann')
    })

    test('nor does the promotion of a visitor, a step-up, or a login before revokeEveryone', async () => {
      await browser.request(world.one, exchange => Object.assign(exchange.session, { cart: 1 }))
      const attempt = await world.one.attempt('ann')
      await world.two.revokeUser('ann')
      expect(await codeOf(() => browser.request(world.one, ({ session }) => session.login('ann', { attempt })))).toBe(
        'LOGIN_OVERTAKEN',
      )
      await browser.login(world.one, 'ann')
      const stepUp = await world.one.attempt('ann')
      await world.two.revokeUser('ann')
      expect(await codeOf(() => browser.request(world.one, ({ session }) => session.login('ann', { attempt: stepUp })))).toBe(
        'LOGIN_OVERTAKEN',
      )
      const late = await world.one.attempt('ann')
      await world.two.revokeEveryone()
      expect(await codeOf(() => browser.request(world.one, ({ session }) => session.login('ann', { attempt: late })))).toBe(
        'LOGIN_OVERTAKEN',
      )
      expect(await world.one.list('ann')).toEqual([])
    })

    test('a login that is held on its way to the store is refused if its person is revoked meanwhile', async () => {
      const held = world.gate.hold('create')
      const login = codeOf(() => browser.login(world.one, 'ann'))
      await held.arrived
      await world.two.revokeUser('ann')
      held.release()
      expect(await login).toBe('LOGIN_OVERTAKEN')
      expect(await world.two.list('ann')).toEqual([])
    })

    // Guards: in request-exchange.ts `if (again) await this.#refuseOvertaken(…)`, before the write and after it.
    test.each(
      (['revokeUser', 'revokeEveryone'] as const).flatMap(revoke =>
        (['before it is written', 'while it is held', 'while its reply is held'] as const).map(
          moment => [revoke, moment] as const,
        ),
      ),
    )(
      'a step-up whose credentials were checked before %s spared its session does not land: revoked %s',
      async (revoke, moment) => {
        await browser.login(world.one, 'ann')
        const before = await browser.send(world.one)
        world.clock.advance(60_000)
        const exchange = await browser.send(world.one)
        const except = { except: exchange.session.id as string }
        const attempt = await world.one.attempt('ann')
        const end = (): Promise<unknown> =>
          revoke === 'revokeUser' ? world.two.revokeUser('ann', except) : world.two.revokeEveryone(except)
        const held =
          moment === 'before it is written'
            ? undefined
            : world.gate.hold('replace', moment === 'while it is held' ? 'before' : 'after')
        if (held === undefined) await end()
        const login = codeOf(() => exchange.session.login('ann', { attempt, data: { role: 'admin' } as never }))
        if (held !== undefined) await held.arrived.then(end)
        held?.release()
        expect(await login).toBe('LOGIN_OVERTAKEN')
        expect(free(exchange)).toEqual({ userId: 'ann' })
        free(exchange).note = 1
        const old = browser.fork()
        browser.receive((await exchange.commit()).setCookie)
        expect(await old.whoAmI(world.two)).toBe(held === undefined ? 'ann' : undefined)
        const after = await browser.send(world.two)
        expect(free(after)).toEqual({ userId: 'ann', note: 1 })
        for (const when of ['createdAt', 'authenticatedAt'] as const)
          expect(after.session[when], when).toEqual(before.session[when])
      },
    )

    test.each(['taken back', 'ended, where that fails too'])(
      'law 6: a step-up that landed, and of which nobody can say whether it was overtaken, is %s',
      async how => {
        await browser.login(world.one, 'ann')
        const { authenticatedAt } = (await browser.send(world.one)).session
        world.clock.advance(60_000)
        const exchange = await browser.send(world.one)
        const held = world.gate.hold('replace', 'after')
        const login = codeOf(() => exchange.session.login('ann'))
        await held.arrived
        world.gate.failNext('marks', 'before', outage)
        if (how !== 'taken back') for (let i = 0; i < 2; i++) world.gate.failNext('replace', 'before', outage)
        held.release()
        expect(await login).toBe('STORE_UNAVAILABLE')
        expect(await codeOf(() => exchange.commit())).toBe('STORE_UNAVAILABLE')
        const old = browser.fork()
        browser.receive(exchange.owed)
        expect(await old.whoAmI(world.two)).toBeUndefined()
        expect(await browser.whoAmI(world.two)).toBe(how === 'taken back' ? 'ann' : undefined)
        expect((await world.two.list('ann')).map(one => one.authenticatedAt)).toEqual(
          how === 'taken back' ? [authenticatedAt] : [],
        )
      },
    )

    test('law 8: parallel requests write their use down once', async () => {
      await browser.login(world.one, 'ann')
      world.clock.advance(301_000)
      world.gate.reset()
      world.gate.onCall(() => new Promise(resolve => setImmediate(resolve)))
      await Promise.all(Array.from({ length: 50 }, () => browser.whoAmI(world.one)))
      expect(world.gate.calls.touch).toBe(1)
    })

    test('an attempt of another person, or of more than ten minutes ago, is refused', async () => {
      const attempt = await world.one.attempt('ann')
      expect(await codeOf(() => browser.request(world.one, ({ session }) => session.login('bob', { attempt })))).toBe(
        'BAD_IDENTITY',
      )
      world.clock.advance(600_000)
      expect(await codeOf(() => browser.request(world.one, ({ session }) => session.login('ann', { attempt })))).toBe(
        'LOGIN_EXPIRED',
      )
    })

    test('devices, revokeDevice and revokeOthers reach the own sessions only', async () => {
      const [phone, laptop, bob] = [new Browser(), new Browser(), new Browser()]
      for (const [device, user] of [
        [phone, 'ann'],
        [laptop, 'ann'],
        [bob, 'bob'],
      ] as const)
        await device.login(world.one, user)
      await browser.login(world.one, 'ann')
      const { session } = await browser.send(world.two)
      const devices = await world.two.devices(session)
      expect(devices.map(device => device.current)).toEqual([true, false, false])
      const bobs = (await bob.send(world.one)).session.id as string
      expect(await world.two.revokeDevice(session, bobs)).toBe(false)
      expect(await world.two.revokeDevice(session, (await phone.send(world.one)).session.id as string)).toBe(true)
      expect(await phone.whoAmI(world.one)).toBeUndefined()
      expect(await world.two.revokeOthers(session)).toBe(1)
      expect(await laptop.whoAmI(world.one)).toBeUndefined()
      expect(await bob.whoAmI(world.one)).toBe('bob')
      expect(await browser.whoAmI(world.one)).toBe('ann')
    })

    // Guard: in sessions.ts `asked * 4`; a store counts what is over, too, until that is thrown away.
    test('a list with a limit shows the living, however many newer ones are over', async () => {
      await browser.login(world.one, 'ann', true)
      const { id } = (await browser.send(world.one)).session
      for (let i = 0; i < 6; i++) {
        world.clock.advance(1000)
        await new Browser().login(world.one, 'ann')
      }
      world.clock.advance(24 * 3_600_000 + 1000)
      expect((await world.two.list('ann')).map(one => one.id)).toEqual([id])
      expect((await world.two.list('ann', { limit: 1 })).map(one => one.id)).toEqual([id])
      expect((await world.two.list('ann', { limit: 2 })).map(one => one.id)).toEqual([id])
      await browser.fork().login(world.one, 'ann', true)
      await new Browser().login(world.one, 'ann')
      expect(await world.two.list('ann', { limit: 1 })).toHaveLength(1)
    })

    // Guard: in sessions.ts `owner.userId === owner.signedInAs`; without it the others of whoever the bag names would end.
    test('a sign-in that is not stored yet reaches no device: neither those of the person it names nor those of the one before', async () => {
      const [anns, bobs] = [new Browser(), new Browser()]
      await anns.login(world.one, 'ann')
      await bobs.login(world.one, 'bob')
      for (const before of [new Browser(), bobs.fork()]) {
        const { session } = await before.send(world.one)
        Object.assign(session, { userId: 'ann' })
        const id = (await anns.send(world.one)).session.id as string
        for (const act of ['devices', 'revokeOthers', 'revokeDevice'] as const)
          expect(await codeOf(() => world.one[act](session, id)), act).toBe('NOT_AUTHENTICATED')
      }
      expect(await anns.whoAmI(world.two)).toBe('ann')
      expect(await bobs.whoAmI(world.two)).toBe('bob')
    })

    test('revokeEveryone ends all but the one that asks, whatever their number', async () => {
      const others = await Promise.all(
        Array.from({ length: 20 }, async (_, i) => {
          const other = new Browser()
          await other.login(world.one, `user${i}`)
          return other
        }),
      )
      await browser.login(world.one, 'admin')
      const id = (await browser.send(world.one)).session.id as string
      await world.two.revokeEveryone({ except: id })
      for (const other of others) expect(await other.whoAmI(world.one)).toBeUndefined()
      expect(await browser.whoAmI(world.one)).toBe('admin')
      await browser.request(world.one, exchange => Object.assign(exchange.session, { still: 'writable' }))
      expect(free(await browser.send(world.two))).toMatchObject({ still: 'writable' })
    })

    test('law 11: a login beyond maxSessionsPerUser ends the oldest', async () => {
      await world.close()
      world = openWorld(kind, { maxSessionsPerUser: 3 })
      const devices = Array.from({ length: 5 }, () => new Browser())
      for (const device of devices) {
        await device.login(world.one, 'ann')
        world.clock.advance(1000)
      }
      expect(await Promise.all(devices.map(device => device.whoAmI(world.two)))).toEqual([
        undefined,
        undefined,
        'ann',
        'ann',
        'ann',
      ])
    })
  })
})
