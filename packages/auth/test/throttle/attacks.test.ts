import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { memoryLimiter } from '../../src/limiters/memory.ts'
import type { Limiter } from '../../src/throttle/limiter.ts'
import { Throttle } from '../../src/throttle/throttle.ts'
import { Browser, openWorld, type World } from '../support/world.ts'

const PASSWORD = 'k7#pQz!w and more'
const worlds: World[] = []
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close()
})

function world(options: Parameters<typeof openWorld>[0] = {}): World {
  const opened = openWorld(options)
  worlds.push(opened)
  return opened
}

interface Guess {
  readonly identifier: string
  readonly ip: string | undefined
  readonly browser?: Browser
}

/** Sends all of them at once, and prints what came of them. */
async function attack(here: World, name: string, guesses: readonly Guess[]) {
  const counts = await send(here, guesses)
  console.log(`${name}: ${guesses.length} guesses, ${counts.hashes} hashes, ${counts.throttled} throttled`)
  return counts
}

async function send({ auth, sessions }: World, guesses: readonly Guess[]) {
  const before = auth.hashing.computed
  const results = await Promise.all(
    guesses.map(({ identifier, ip, browser = new Browser(sessions) }) => {
      browser.ip = ip
      return browser.request(session => auth.login(session, { identifier, password: 'wrong password' }))
    }),
  )
  return {
    hashes: auth.hashing.computed - before,
    invalid: results.filter(result => !result.ok && result.reason === 'invalid').length,
    throttled: results.filter(result => !result.ok && result.reason === 'throttled').length,
  }
}

const times = <Item>(count: number, make: (i: number) => Item) => Array.from({ length: count }, (_, i) => make(i))
const login = (browser: Browser, { auth }: World, identifier: string) =>
  browser.request(session => auth.login(session, { identifier, password: PASSWORD }))
const address = (i: number) => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`

/** A busy machine may be a second later with one of two answers that are alike. */
const inMinutes = ({ retryAfter, ...rest }: { readonly retryAfter: number }) => ({ ...rest, minutes: Math.ceil(retryAfter / 60) })

describe('ASVS 6.3.1: guesses are counted before they are looked at', () => {
  test('1000 parallel guesses from one address on one account: ten hashes', async () => {
    const here = world()
    const { email } = await here.person(PASSWORD)
    const counts = await attack(
      here,
      'one address, one account',
      times(1000, () => ({ identifier: email, ip: '192.0.2.66' })),
    )
    expect(counts).toEqual({ hashes: 10, invalid: 10, throttled: 990 })
  })

  test('1000 guesses from one address on 1000 accounts: a hundred', async () => {
    const here = world()
    const guesses = times(1000, i => ({ identifier: `user${i}@example.org`, ip: '192.0.2.66' }))
    expect(await attack(here, 'one address, 1000 accounts', guesses)).toMatchObject({ hashes: 100 })
  })

  test('1000 addresses on one account: ten in the first minute', async () => {
    const here = world()
    const { email } = await here.person(PASSWORD)
    const guesses = times(1000, i => ({ identifier: email, ip: address(i) }))
    expect(await attack(here, '1000 addresses, one account', guesses)).toMatchObject({ hashes: 10 })
  })

  test('1000 addresses of one /64 are one address', async () => {
    const here = world()
    const guesses = times(1000, i => ({ identifier: `user${i}@example.org`, ip: `2001:db8:1:2::${i.toString(16)}` }))
    expect(await attack(here, '1000 addresses of one /64', guesses)).toMatchObject({ hashes: 100 })
  })

  test('no address at all: an account is guarded still, and nobody fills a bucket for the others', async () => {
    const here = world()
    const { email } = await here.person(PASSWORD)
    const other = await here.person(PASSWORD)
    const counts = await attack(
      here,
      'no address',
      times(1000, () => ({ identifier: email, ip: undefined })),
    )
    expect(counts).toMatchObject({ hashes: 10 })
    expect(await login(new Browser(here.sessions, undefined), here, other.email)).toMatchObject({ ok: true })
  })

  test('an account that is not there is throttled alike, under every spelling of its name', async () => {
    const here = world()
    const spellings = [
      'nobody@example.org',
      'NOBODY@example.org',
      ' nobody@example.org ',
      'nöbody@example.org',
      'ｎobody@example.org',
    ]
    const guesses = times(1000, i => ({ identifier: spellings[i % spellings.length] as string, ip: address(i) }))
    expect(await attack(here, '5 spellings of nobody', guesses)).toMatchObject({ hashes: 10 })
  })

  // Of the second spelling neither database knows anything: what it is told must not depend on the first.
  test.each([
    ['login', (here: World, identifier: string, ip: string) => login(new Browser(here.sessions, ip), here, identifier)],
    [
      'reset',
      (here: World, identifier: string, ip: string) =>
        new Browser(here.sessions, ip).request(session => here.auth.requestReset(session, { identifier })),
    ],
  ])(
    'ASVS 6.3.8: tries under one spelling, then one under another, tell nobody whether there is such an account: at %s',
    async (_at, ask) => {
      const first = 'ann.strasse@example.org'
      const spellings = [
        first,
        'änn.strasse@example.org',
        'ann.straße@example.org',
        ' ANN.STRASSE@example.org',
        'ann.\u200bstrasse@example.org',
      ]
      for (const from of [address, () => '192.0.2.66']) {
        const answers = []
        for (const email of [first, 'somebody.else@example.org']) {
          const here = world()
          await here.person('quite another one 42', email)
          const told = []
          for (let i = 0; i < 11; i++) told.push(await ask(here, first, from(i)))
          for (const [i, spelling] of spellings.entries()) told.push(await ask(here, spelling, from(11 + i)))
          answers.push(told.map(result => ('retryAfter' in result ? inMinutes(result) : result)))
        }
        expect(answers[0]?.slice(-5)).toEqual(Array(5).fill({ ok: false, reason: 'throttled', minutes: expect.any(Number) }))
        expect(answers[0]).toEqual(answers[1])
      }
    },
  )

  test('ASVS 6.3.8: as much is asked of the limiter for nobody as for somebody', async () => {
    const limiter = memoryLimiter()
    let asked = 0
    const create: Limiter['create'] = options => {
      const real = limiter.create(options)
      function consume(key: string) {
        asked++
        return real.consume(key)
      }
      return { ...real, consume }
    }
    const here = world({ limiter: { ...limiter, create } })
    const { email } = await here.person(PASSWORD)
    const counts = []
    for (const identifier of [email, 'nobody@example.org']) {
      asked = 0
      await send(here, [{ identifier, ip: '192.0.2.66' }])
      await new Browser(here.sessions).request(session => here.auth.requestReset(session, { identifier }))
      counts.push(asked)
    }
    expect(counts).toEqual([12, 12])
  })

  test('every spelling that your database takes for one account is that account', async () => {
    const here = world()
    const { email } = await here.person(PASSWORD, 'ann@example.org')
    const spellings = [email, email.toUpperCase(), 'Ann@Example.org', 'aNN@example.ORG']
    const guesses = times(1000, i => ({ identifier: spellings[i % spellings.length] as string, ip: address(i) }))
    expect(await attack(here, '4 spellings of one account', guesses)).toMatchObject({ hashes: 10 })
  })
})

describe('ASVS 6.1.1: an account is slowed for strangers, and never locked for its owner', () => {
  test.each([
    ['1000 guesses from one address', () => '192.0.2.66'],
    ['1000 addresses', address],
    ["1000 guesses from the owner's own address", () => '192.0.2.1'],
  ])('%s: meanwhile the owner signs in from a known browser, again and again', async (name, ip) => {
    const here = world()
    const { email } = await here.person(PASSWORD)
    const owner = new Browser(here.sessions, '192.0.2.1')
    expect(await login(owner, here, email)).toMatchObject({ ok: true })
    for (let round = 0; round < 5; round++) {
      const [counts, result] = await Promise.all([
        attack(
          here,
          `${name}, round ${round}`,
          times(200, i => ({ identifier: email, ip: ip(round * 200 + i) })),
        ),
        login(owner, here, email),
      ])
      expect(result).toMatchObject({ ok: true })
      expect(counts.hashes - 1).toBeLessThanOrEqual(10)
    }
    expect(await login(new Browser(here.sessions, '198.51.100.9'), here, email)).toMatchObject({ reason: 'throttled' })
  })

  test('a known browser has ten tries of its own, which a correct password gives back', async () => {
    const here = world({ limits: { perAccount: [{ tries: 1000, per: '1d' }] } })
    const { email } = await here.person(PASSWORD)
    const owner = new Browser(here.sessions)
    await login(owner, here, email)
    const wrong = (browser: Browser) =>
      browser.request(session => here.auth.login(session, { identifier: email, password: 'wrong password' }))
    for (let i = 0; i < 9; i++) expect(await wrong(owner)).toMatchObject({ reason: 'invalid' })
    expect(await login(owner, here, email)).toMatchObject({ ok: true })
    // A thief's copy of the cookie counts with it.
    const thief = owner.copy()
    thief.ip = '203.0.113.5'
    for (let i = 0; i < 10; i++) expect(await wrong(thief)).toMatchObject({ reason: 'invalid' })
    expect(await wrong(thief)).toEqual({ ok: false, reason: 'throttled', retryAfter: expect.any(Number) })
    expect(await login(new Browser(here.sessions, '198.51.100.9'), here, email)).toMatchObject({ ok: true })
  })

  test('a flood that fills the hashing queue keeps no known browser out', async () => {
    const here = world({ passwords: { concurrency: 1, longestQueue: 20, memoryKiB: 19_456, passes: 2 } })
    const { email } = await here.person(PASSWORD)
    const owner = new Browser(here.sessions, '192.0.2.1')
    await login(owner, here, email)
    const flood = times(200, i => {
      const browser = new Browser(here.sessions, address(i))
      return browser.request(session =>
        here.auth.login(session, { identifier: `user${i}@example.org`, password: 'wrong password' }),
      )
    })
    const results = Promise.allSettled(flood)
    await expect(login(new Browser(here.sessions, '198.51.100.9'), here, email)).rejects.toMatchObject({
      code: 'HASHING_OVERLOADED',
    })
    const startedAt = performance.now()
    expect(await login(owner, here, email)).toMatchObject({ ok: true })
    const waited = performance.now() - startedAt
    const refused = (await results).filter(({ status }) => status === 'rejected').length
    console.log(
      `a flood of 200, ${refused} of them refused: the owner waited ${waited.toFixed(0)} ms, the flood ${(performance.now() - startedAt).toFixed(0)} ms`,
    )
    expect(refused).toBeGreaterThan(100)
  })

  test("somebody's own logins, however many, keep nobody else's known browser out of the hashing queue", async () => {
    const wide = [{ tries: 1000, per: '1d' }] as const
    const passwords = { concurrency: 1, longestQueue: 5, memoryKiB: 2048 }
    const here = world({ passwords, limits: { perAccount: wide, perDevice: wide } })
    const [mallory, ann] = [await here.person(PASSWORD), await here.person(PASSWORD)]
    const owner = new Browser(here.sessions, '192.0.2.1')
    await login(owner, here, ann.email)
    const known = times(3, () => new Browser(here.sessions, '203.0.113.5'))
    for (const browser of known) await login(browser, here, mallory.email)
    let [going, refused] = [true, 0]
    const flood = times(30, async i => {
      while (going) {
        await login(known[i % 3]?.copy() as Browser, here, mallory.email).catch(() => refused++)
        await sleep(20)
      }
    })
    await expect.poll(() => refused).toBeGreaterThan(10)
    for (let i = 0; i < 10; i++) expect(await login(owner, here, ann.email)).toMatchObject({ ok: true })
    going = false
    await Promise.all(flood)
  })

  const NEW = 'quite another one 42'
  const changes: [string, (here: World, id: string, owner: Browser) => Promise<unknown>][] = [
    [
      'a change',
      (here, _id, owner) => owner.request(session => here.auth.changePassword(session, { password: PASSWORD, newPassword: NEW })),
    ],
    [
      'a reset',
      async (here, id, owner) => {
        await here.auth.startReset(id)
        const { token } = here.users.mails[0] as { token: string }
        return owner.request(session => here.auth.resetPassword(session, { token, password: NEW }))
      },
    ],
  ]

  test('90 known browsers of one account have as many guesses together as strangers have, and take none of those', async () => {
    const here = world({ limits: { perAccount: [{ tries: 30, per: '1d' }] } })
    const { email } = await here.person(PASSWORD)
    const browsers = times(90, () => new Browser(here.sessions, '203.0.113.5'))
    for (const browser of browsers) await login(browser, here, email)
    const guesses = times(1800, i => ({ identifier: email, ip: '203.0.113.5', browser: browsers[i % 90] as Browser }))
    expect(await attack(here, '90 known browsers', guesses)).toMatchObject({ hashes: 30 })
    expect(await login(new Browser(here.sessions, '198.51.100.9'), here, email)).toMatchObject({ ok: true })
  })

  test.each(changes)('who knew the password has no known browser left after %s, and its owner has', async (_name, change) => {
    const here = world()
    const { id, email } = await here.person(PASSWORD)
    const owner = new Browser(here.sessions, '192.0.2.1')
    await login(owner, here, email)
    const thief = times(90, () => new Browser(here.sessions, '203.0.113.5'))
    for (const browser of thief) await login(browser, here, email)
    // The count that they have used up before is not the new password's.
    const guesses = times(1800, i => ({ identifier: email, ip: '203.0.113.5', browser: thief[i % 90] as Browser }))
    expect(await attack(here, 'before it', guesses)).toMatchObject({ hashes: 10 })
    expect(await change(here, id, owner)).toMatchObject({ ok: true })
    expect(await attack(here, 'after it', guesses)).toMatchObject({ hashes: 10 })
    expect(await login(new Browser(here.sessions, '203.0.113.5'), here, email)).toMatchObject({ reason: 'throttled' })
    const signIn = () => owner.request(session => here.auth.login(session, { identifier: email, password: NEW }))
    const before = here.events.length
    expect(await signIn()).toMatchObject({ ok: true })
    expect(here.events.slice(before).map(({ name }) => name)).not.toContain('login.new-device')
  })

  test('while an account is disabled its known browsers are strangers', async () => {
    const here = world()
    const { id, email } = await here.person(PASSWORD)
    const browsers = times(20, i => new Browser(here.sessions, address(i)))
    for (const browser of browsers) await login(browser, here, email)
    await here.auth.disable(id)
    await attack(
      here,
      'by strangers',
      times(20, i => ({ identifier: email, ip: address(100 + i) })),
    )
    const guesses = times(200, i => ({ identifier: email, ip: address(i % 20), browser: browsers[i % 20] as Browser }))
    expect(await attack(here, '20 known browsers of a disabled account', guesses)).toMatchObject({ hashes: 0 })
  })

  test("a browser known for one account has nothing of its own for another's", async () => {
    const here = world()
    const [mallory, ann] = [await here.person(PASSWORD), await here.person(PASSWORD)]
    const browsers = times(20, i => new Browser(here.sessions, address(i)))
    for (const browser of browsers) await login(browser, here, mallory.email)
    const guesses = times(1000, i => ({ identifier: ann.email, ip: address(i % 20), browser: browsers[i % 20] as Browser }))
    expect(await attack(here, "20 browsers known for mallory, on ann's account", guesses)).toMatchObject({ hashes: 10 })
  })

  test('a reset by mail makes the browser known: the way in for an owner under attack at a new one', async () => {
    const here = world()
    const { email } = await here.person(PASSWORD)
    await attack(
      here,
      'before the reset',
      times(200, i => ({ identifier: email, ip: address(i) })),
    )
    const owner = new Browser(here.sessions, '198.51.100.9')
    expect(await login(owner, here, email)).toMatchObject({ reason: 'throttled' })
    await owner.request(session => here.auth.requestReset(session, { identifier: email }))
    await expect.poll(() => here.users.mails.length).toBe(1)
    const { token } = here.users.mails[0] as { token: string }
    expect(await owner.request(session => here.auth.resetPassword(session, { token, password: PASSWORD }))).toMatchObject({
      ok: true,
    })
    expect(await login(owner, here, email)).toMatchObject({ ok: true })
  })
})

describe('what a correct password forgets, and what not', () => {
  test("an attacker's own logins do not clear the count of his address", async () => {
    const here = world({ limits: { perIp: [{ tries: 20, per: '1d' }] } })
    const mallory = await here.person(PASSWORD)
    let hashes = 0
    for (let i = 0; i < 40; i++) {
      await login(new Browser(here.sessions, '192.0.2.66'), here, mallory.email)
      hashes += (await send(here, [{ identifier: `user${i}@example.org`, ip: '192.0.2.66' }])).hashes
    }
    expect(hashes).toBe(20)
  })

  test("the owner's logins do not clear what strangers have tried on the account", async () => {
    const here = world()
    const { email } = await here.person(PASSWORD)
    let hashes = 0
    for (let i = 0; i < 5; i++) {
      await login(new Browser(here.sessions, '192.0.2.1'), here, email)
      const guesses = times(5, k => ({ identifier: email, ip: address(i * 5 + k) }))
      hashes += (await send(here, guesses)).hashes
      if (hashes >= 10) break
    }
    expect(hashes).toBe(10)
  })

  test('they clear what the owner mistyped there', async () => {
    const here = world({ limits: { perAccount: [{ tries: 1000, per: '1d' }] } })
    const { email } = await here.person(PASSWORD)
    for (let round = 0; round < 3; round++) {
      expect(
        await attack(
          here,
          'mistyped',
          times(9, () => ({ identifier: email, ip: '192.0.2.1' })),
        ),
      ).toMatchObject({ hashes: 9 })
      expect(await login(new Browser(here.sessions, '192.0.2.1'), here, email)).toMatchObject({ ok: true })
    }
  })

  test('a flood that is refused for its address never fills the count of an account', async () => {
    const here = world({ limits: { perAccount: [{ tries: 50, per: '1h' }] } })
    const { email } = await here.person(PASSWORD)
    expect(
      await attack(
        here,
        'from one address',
        times(1000, () => ({ identifier: email, ip: '192.0.2.66' })),
      ),
    ).toMatchObject({ hashes: 10 })
    expect(
      await attack(
        here,
        'from others',
        times(40, i => ({ identifier: email, ip: address(i) })),
      ),
    ).toMatchObject({ hashes: 40 })
  })

  test('a burst fills the count of its address with what was looked at, not with what was refused', async () => {
    const here = world()
    const { email } = await here.person(PASSWORD)
    await send(
      here,
      times(1000, () => ({ identifier: email, ip: '192.0.2.66' })),
    )
    const guesses = times(200, i => ({ identifier: `user${i}@example.org`, ip: '192.0.2.66' }))
    expect(await attack(here, 'after a burst of 1000 that computed 10', guesses)).toMatchObject({ hashes: 90 })
  })

  // Fails where `undone` gives back in the counts that a success clears (`CLEARED` in throttle.ts).
  test('a correct password in the middle of a flood from its own address leaves the flood no credit', async () => {
    const wide = [{ tries: 10_000, seconds: 3600 }]
    const ten = [{ tries: 10, seconds: 3600 }]
    const windows = {
      perIp: wide,
      perAccountAndIp: ten,
      perAccount: wide,
      perDevice: ten,
      perReauthentication: ten,
      perResetAccount: ten,
      perResetIp: ten,
      perSignUpIp: ten,
    }
    // What is given back arrives last of all, as over a slow network.
    const late = Promise.withResolvers<void>()
    const limiter = memoryLimiter()
    const create: Limiter['create'] = options => {
      const real = limiter.create(options)
      return { consume: real.consume, delete: real.delete, reward: key => late.promise.then(() => real.reward(key)) }
    }
    const throttle = new Throttle({ ...limiter, create }, windows, Buffer.alloc(32), () => {})
    const take = () => throttle.login({ names: ['user 1'], ip: '192.0.2.1' })
    const flood = async () => (await Promise.all(times(500, take))).filter(({ ok }) => ok).length
    const [owner] = await Promise.all(times(10, take))
    const refused = flood()
    await setImmediate()
    const succeeded = owner?.ok && owner.succeed()
    await setImmediate()
    late.resolve()
    await succeeded
    expect(await refused).toBe(0)
    expect(await flood()).toBe(10)
  })

  test('a burst fills the shortest window only: the wait is a minute, not a day', async () => {
    const here = world()
    const { email } = await here.person(PASSWORD)
    await attack(
      here,
      'a burst',
      times(1000, i => ({ identifier: email, ip: address(i) })),
    )
    const result = await login(new Browser(here.sessions, '198.51.100.9'), here, email)
    expect(result).toMatchObject({ reason: 'throttled' })
    expect(result.ok || result.reason !== 'throttled' ? Number.NaN : result.retryAfter).toBeLessThanOrEqual(60)
  })

  test('in whatever order the limits are given, a burst is sent away for a minute and not for a day', async () => {
    const here = world({
      limits: {
        perAccount: [
          { tries: 100, per: '1d' },
          { tries: 10, per: '1m' },
        ],
      },
    })
    const tries = times(1000, i => new Browser(here.sessions, address(i)))
    const form = { identifier: 'nobody@example.org', password: PASSWORD }
    const results = await Promise.all(tries.map(browser => browser.request(session => here.auth.login(session, form))))
    const waits = results.flatMap(result => (!result.ok && result.reason === 'throttled' ? [result.retryAfter] : []))
    expect(waits).toHaveLength(990)
    expect(Math.max(...waits)).toBeLessThanOrEqual(60)
  })

  test('correct logins are not counted: three hundred from one address, at a limit of a hundred', async () => {
    const here = world({ limits: { perIp: [{ tries: 100, per: '1d' }] } })
    for (let i = 0; i < 300; i++) {
      const { email } = await here.person(PASSWORD)
      expect(await login(new Browser(here.sessions, '192.0.2.1'), here, email)).toMatchObject({ ok: true })
    }
  })
})

test('ASVS 6.3.5: many failures on one account are told, once in a window', async () => {
  const here = world()
  const { id, email } = await here.person(PASSWORD)
  await attack(
    here,
    'many failures',
    times(300, i => ({ identifier: email, ip: address(i) })),
  )
  const told = here.events.filter(({ name }) => name === 'login.many-failures')
  expect(told).toEqual([{ name: 'login.many-failures', event: expect.objectContaining({ userId: id }) }])
})

describe('ASVS 6.3.5, 16.3.1: no limit is silent', () => {
  const wrong = { password: 'wrong password' }
  const client = { userAgent: 'Test/1.0', ip: '192.0.2.1' }

  async function told(act: (here: World, browser: Browser, email: string) => Promise<unknown>, count: number) {
    const here = world({ limits: { perAccount: [{ tries: 1000, per: '1d' }] } })
    const { id, email } = await here.person(PASSWORD)
    const browser = new Browser(here.sessions)
    await login(browser, here, email)
    here.events.length = 0
    for (let i = 0; i < count; i++) await act(here, browser, email)
    for (const { event } of here.events) expect(event).toMatchObject({ ...client, userId: id })
    return here.events.map(({ name, event }) =>
      name.endsWith('throttled') ? `${name} ${event.limit} ${event.retryAfter}` : name,
    )
  }

  const manyThen = (failed: string, throttled: string) => [
    ...times(10, () => failed),
    'login.many-failures',
    ...times(5, () => expect.stringMatching(throttled)),
  ]

  test('15 wrong passwords from a known browser: ten failures, many, and five tries that nobody looked at', async () => {
    const events = await told(
      (here, browser, identifier) => browser.request(session => here.auth.login(session, { identifier, ...wrong })),
      15,
    )
    expect(events).toEqual(manyThen('login.failed', '^login.throttled perDevice (3600|35[0-9][0-9])$'))
  })

  test('15 at step-up', async () => {
    const events = await told((here, browser) => browser.request(session => here.auth.reauthenticate(session, wrong)), 15)
    expect(events).toEqual(manyThen('reauthentication.failed', '^reauthentication.throttled undefined (3600|35[0-9][0-9])$'))
  })

  test('6 wishes for a reset mail', async () => {
    const events = await told(
      (here, browser, identifier) => browser.request(session => here.auth.requestReset(session, { identifier })),
      6,
    )
    const refused = expect.stringMatching(/^reset.throttled perResetAccount (3600|35[0-9][0-9])$/)
    expect(events).toEqual([...times(3, () => 'reset.requested'), ...times(3, () => refused)])
  })
})

test('no event and no result holds what was typed', async () => {
  const here = world()
  const { email } = await here.person(PASSWORD)
  await attack(
    here,
    'typed',
    times(30, i => ({ identifier: i % 2 === 0 ? email : 'secret-typed-here', ip: address(i) })),
  )
  expect(JSON.stringify(here.events)).not.toMatch(/wrong password|secret-typed-here|@example/)
})
