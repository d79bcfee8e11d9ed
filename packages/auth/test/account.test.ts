import { setImmediate } from 'node:timers/promises'
import { memoryStore } from 'coatcheck/memory'
import { gatedStore } from 'coatcheck/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { Browser, openWorld, type World } from './support/world.ts'

const PASSWORD = 'k7#pQz!w and more'
const NEW = 'quite another one 42'
const worlds: World[] = []
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close()
})

function world(options: Parameters<typeof openWorld>[0] = {}): World {
  const opened = openWorld(options)
  worlds.push(opened)
  return opened
}

const login = (browser: Browser, { auth }: World, identifier: string, password = PASSWORD, remember = false) =>
  browser.request(session => auth.login(session, { identifier, password, remember }))
const named = ({ events }: World, name: string) => events.filter(event => event.name === name)

/** A person, signed in in so many browsers. */
async function signedIn(here: World, count: number) {
  const person = await here.person(PASSWORD)
  const browsers = Array.from({ length: count }, (_, i) => new Browser(here.sessions, `192.0.2.${i + 1}`))
  for (const browser of browsers) await login(browser, here, person.email)
  return { ...person, browsers, browser: browsers[0] as Browser, others: browsers.slice(1) }
}

describe('ASVS 6.2.2, 6.2.3, 7.4.3: changing the password', () => {
  const change = (browser: Browser, { auth }: World, password = PASSWORD, newPassword = NEW) =>
    browser.request(session => auth.changePassword(session, { password, newPassword }))

  test('asks for the present one, ends the other sessions, and gives this one a new token', async () => {
    const here = world()
    const { id, email, browser, others } = await signedIn(here, 3)
    const before = browser.copy()
    expect(await change(browser, here)).toEqual({ ok: true })
    expect(await browser.whoAmI()).toBe(id)
    for (const other of [before, ...others]) expect(await other.whoAmI()).toBeUndefined()
    expect(await login(new Browser(here.sessions), here, email, PASSWORD)).toMatchObject({ reason: 'invalid' })
    expect(await login(new Browser(here.sessions), here, email, NEW)).toMatchObject({ ok: true })
    expect(named(here, 'password.saved')).toEqual([{ name: 'password.saved', event: { userId: id, why: 'change' } }])
  })

  test('a wrong present password changes nothing, and ten of them are the last', async () => {
    const here = world()
    const { id, browser, others } = await signedIn(here, 2)
    const stored = here.users.hashOf(id)
    for (let i = 0; i < 10; i++) expect(await change(browser, here, 'wrong password')).toEqual({ ok: false, reason: 'invalid' })
    expect(await change(browser, here)).toEqual({ ok: false, reason: 'throttled', retryAfter: expect.any(Number) })
    expect(here.users.hashOf(id)).toBe(stored)
    expect(await others[0]?.whoAmI()).toBe(id)
    expect(named(here, 'reauthentication.failed')).toHaveLength(10)
  })

  test('parallel guesses of the present password compute ten hashes', async () => {
    const here = world()
    const { browser } = await signedIn(here, 1)
    const before = here.auth.hashing.computed
    const exchanges = await Promise.all(Array.from({ length: 300 }, () => browser.open()))
    await Promise.all(exchanges.map(({ session }) => here.auth.reauthenticate(session, { password: 'wrong password' })))
    expect(here.auth.hashing.computed - before).toBe(10)
  })

  test('strangers who hammer the account do not keep its owner from changing the password', async () => {
    const here = world()
    const { email, browser } = await signedIn(here, 1)
    for (let i = 0; i < 30; i++) await login(new Browser(here.sessions, `10.0.0.${i}`), here, email, 'wrong password')
    expect(await change(browser, here)).toEqual({ ok: true })
  })

  test('many strangers who wait for their hash do not keep anybody waiting who changes or resets the password', async () => {
    const passwords = { memoryKiB: 2048, concurrency: 1 }
    const here = world({ passwords })
    const { email, browser } = await signedIn(here, 1)
    await new Browser(here.sessions).request(session => here.auth.requestReset(session, { identifier: email }))
    await expect.poll(() => here.users.mails.length).toBe(1)
    let done = 0
    const strangers = Array.from({ length: 200 }, (_, i) =>
      login(new Browser(here.sessions, `10.0.1.${i}`), here, `nobody${i}@example.org`).finally(() => done++),
    )
    await expect.poll(() => here.auth.hashing.waiting).toBeGreaterThan(150)
    const { token } = here.users.mails[0] as { token: string }
    const reset = browser.request(session => here.auth.resetPassword(session, { token, password: NEW }))
    expect(await reset).toMatchObject({ ok: true })
    expect(done).toBeLessThan(100)
    await expect(change(browser, here)).rejects.toMatchObject({ code: 'NOT_AUTHENTICATED' })
    await login(browser, here, email, NEW)
    expect(await change(browser, here, NEW, PASSWORD)).toEqual({ ok: true })
    expect(done).toBeLessThan(150)
    await Promise.all(strangers)
  })

  test('a weak new one is refused with its reason, after the present one was proved, and nothing has changed', async () => {
    const here = world()
    const { id, email, browser, others } = await signedIn(here, 2)
    const stored = here.users.hashOf(id)
    expect(await change(browser, here, PASSWORD, 'password1')).toMatchObject({ ok: false, reason: 'weak', problem: 'common' })
    expect(await change(browser, here, PASSWORD, email)).toMatchObject({ problem: 'guessable' })
    expect(await change(browser, here, 'wrong password', 'password1')).toMatchObject({ reason: 'invalid' })
    expect(here.users.hashOf(id)).toBe(stored)
    expect(await others[0]?.whoAmI()).toBe(id)
  })

  test('nobody signed in: an error, and nobody is looked up', async () => {
    const here = world()
    await expect(change(new Browser(here.sessions), here)).rejects.toMatchObject({ code: 'NOT_AUTHENTICATED' })
    expect(here.users.calls).toEqual([])
  })

  test('two changes at once, from two browsers: at most one holds, and what holds is what its answer said', async () => {
    const here = world()
    const { email, browsers } = await signedIn(here, 2)
    const changes = browsers.map((browser, i) => change(browser, here, PASSWORD, `${NEW} ${i}`))
    const results = await Promise.allSettled(changes)
    const won = results.flatMap((result, i) => (result.status === 'fulfilled' && result.value.ok ? [`${NEW} ${i}`] : []))
    expect(won.length).toBeLessThanOrEqual(1)
    for (const password of [PASSWORD, `${NEW} 0`, `${NEW} 1`]) {
      const { ok } = await login(new Browser(here.sessions, '198.51.100.1'), here, email, password)
      expect([password, ok]).toEqual([password, password === (won[0] ?? PASSWORD)])
    }
  })

  test('an administrator who ends the sessions meanwhile is not outrun', async () => {
    const here = world()
    const { id, browser } = await signedIn(here, 1)
    here.users.beforeFindCredentials = async () => {
      here.users.beforeFindCredentials = () => {}
      await here.sessions.revokeUser(id)
    }
    const stored = here.users.hashOf(id)
    await expect(change(browser, here)).rejects.toMatchObject({ code: 'LOGIN_OVERTAKEN' })
    expect(await here.sessions.list(id)).toEqual([])
    expect(here.users.hashOf(id)).toBe(stored)
  })

  test('a login with the old password that is under way does not outlive the change', async () => {
    const here = world()
    const { id, email, browser } = await signedIn(here, 1)
    const thief = new Browser(here.sessions, '203.0.113.5')
    const reached = Promise.withResolvers<void>()
    const gate = Promise.withResolvers<void>()
    here.users.beforeFindCredentials = () => {
      here.users.beforeFindCredentials = () => {}
      reached.resolve()
      return gate.promise
    }
    const stolen = login(thief, here, email, PASSWORD)
    await reached.promise
    // The thief's request has passed its look-up's start; its answer comes after the change, from before it.
    const old = here.users.hashOf(id)
    const original = here.users.database
    expect(await change(browser, here)).toEqual({ ok: true })
    original.prepare('UPDATE users SET hash = ? WHERE id = ?').run(old, id)
    gate.resolve()
    await expect(stolen).rejects.toMatchObject({ code: 'LOGIN_OVERTAKEN' })
    expect(await thief.whoAmI()).toBeUndefined()
    expect(await browser.whoAmI()).toBe(id)
  })

  test('a store that is down leaves the old password, and the next try changes it', async () => {
    const gate = gatedStore(memoryStore())
    const here = world({ store: gate.store })
    const { id, browser, others } = await signedIn(here, 2)
    const stored = here.users.hashOf(id)
    gate.failNext('revokeUser', 'before', new Error('no answer'))
    await expect(change(browser, here)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(here.users.hashOf(id)).toBe(stored)
    expect(await change(browser, here)).toEqual({ ok: true })
    expect(await others[0]?.whoAmI()).toBeUndefined()
    expect(await browser.whoAmI()).toBe(id)
  })

  test('a store that goes down after the change is asked once more; down for longer, it is an error, and a crash there leaves no thief signed in', async () => {
    const gate = gatedStore(memoryStore())
    const here = world({ store: gate.store })
    const { id, browser, others } = await signedIn(here, 2)
    here.users.beforeSavePassword = () => gate.failNext('revokeUser', 'before', new Error('no answer'))
    expect(await change(browser, here)).toEqual({ ok: true })
    here.users.beforeSavePassword = () => {
      for (let i = 0; i < 2; i++) gate.failNext('revokeUser', 'before', new Error('no answer'))
    }
    await login(others[0] as Browser, here, (await here.users.findCredentials(id))?.about?.[0] as string, NEW)
    await expect(change(browser, here, NEW, PASSWORD)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(await others[0]?.whoAmI()).toBeUndefined()
    expect(await browser.whoAmI()).toBe(id)
  })
})

describe('a login with the old password, between the first ending of sessions and the new password, while the store goes down', () => {
  /** The thief is in before the new password is stored; then the store is down for two calls. */
  function outage() {
    const gate = gatedStore(memoryStore())
    const here = world({ store: gate.store })
    const thief = new Browser(here.sessions, '203.0.113.5')
    function arm(email: string): void {
      here.users.beforeSavePassword = async () => {
        here.users.beforeSavePassword = () => {}
        await login(thief, here, email)
        for (let i = 0; i < 2; i++) gate.failNext('revokeUser', 'before', new Error('no answer'))
      }
    }
    return { here, thief, arm }
  }

  test('is ended by the same change, asked for again', async () => {
    const { here, thief, arm } = outage()
    const { id, email, browser } = await signedIn(here, 1)
    const change = (password: string, newPassword: string) =>
      browser.request(session => here.auth.changePassword(session, { password, newPassword }))
    arm(email)
    await expect(change(PASSWORD, NEW)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(await thief.whoAmI()).toBe(id)
    expect(await change(PASSWORD, `not ${NEW}`)).toEqual({ ok: false, reason: 'invalid' })
    expect(await change(PASSWORD, NEW)).toEqual({ ok: true })
    expect(await thief.whoAmI()).toBeUndefined()
    expect(await browser.whoAmI()).toBe(id)
  })

  test('is ended by the same reset link; its password, and no other, is told to be set', async () => {
    const { here, thief, arm } = outage()
    const { id, email } = await here.person(PASSWORD)
    await new Browser(here.sessions).request(session => here.auth.requestReset(session, { identifier: email }))
    await expect.poll(() => here.users.mails.length).toBe(1)
    const { token } = here.users.mails[0] as { token: string }
    const reset = (password: string) =>
      new Browser(here.sessions).request(session => here.auth.resetPassword(session, { token, password }))
    arm(email)
    await expect(reset(NEW)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(await thief.whoAmI()).toBe(id)
    expect(await reset(`not ${NEW}`)).toEqual({ ok: false, reason: 'invalid' })
    expect(await thief.whoAmI()).toBeUndefined()
    expect(await reset(NEW)).toEqual({ ok: true, userId: id })
    const before = here.auth.hashing.computed
    for (let i = 0; i < 20; i++) expect(await reset(`guess ${i}`)).toEqual({ ok: false, reason: 'invalid' })
    expect(here.auth.hashing.computed - before).toBe(10)
    expect(await login(new Browser(here.sessions), here, email, NEW)).toMatchObject({ ok: true })
  })

  test('another session of the person does not finish what it did not begin', async () => {
    const { here, arm } = outage()
    const { email, browsers } = await signedIn(here, 1)
    const change = (browser: Browser) =>
      browser.request(session => here.auth.changePassword(session, { password: PASSWORD, newPassword: NEW }))
    arm(email)
    await expect(change(browsers[0] as Browser)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    const other = new Browser(here.sessions)
    await login(other, here, email, NEW)
    const before = here.auth.hashing.computed
    expect(await change(other)).toEqual({ ok: false, reason: 'invalid' })
    expect(here.auth.hashing.computed - before).toBe(1)
  })
})

describe('ASVS 7.2.4, 7.5.1: step-up', () => {
  test('rotates the token and makes the session fresh; remember me stays as it was', async () => {
    const here = world()
    const { email } = await here.person(PASSWORD)
    const browser = new Browser(here.sessions)
    await login(browser, here, email, PASSWORD, true)
    here.clock.advance(3_600_000)
    const before = browser.copy()
    const exchange = await browser.open()
    const { id } = exchange.session
    expect(await here.auth.reauthenticate(exchange.session, { password: PASSWORD })).toEqual({ ok: true })
    expect(exchange.session.authenticatedAt?.getTime()).toBe(here.clock.now())
    expect(exchange.session.id).toBe(id)
    const { setCookie } = await exchange.commit()
    expect(setCookie.join()).toContain('Max-Age')
    browser.receive(setCookie)
    expect(await browser.whoAmI()).toBeDefined()
    expect(await before.whoAmI()).toBeUndefined()
  })

  test('a wrong password makes nothing fresh', async () => {
    const here = world()
    const { browser } = await signedIn(here, 1)
    const signedInAt = here.clock.now()
    here.clock.advance(3_600_000)
    const exchange = await browser.open()
    expect(await here.auth.reauthenticate(exchange.session, { password: 'wrong password' })).toEqual({
      ok: false,
      reason: 'invalid',
    })
    expect(exchange.session.authenticatedAt?.getTime()).toBe(signedInAt)
    expect((await exchange.commit()).setCookie).toEqual([])
  })

  test('a disabled account steps up no more', async () => {
    const here = world()
    const { id, browser } = await signedIn(here, 1)
    here.users.disableUser(id)
    expect(await browser.request(session => here.auth.reauthenticate(session, { password: PASSWORD }))).toMatchObject({
      reason: 'invalid',
    })
  })
})

describe('ASVS 6.4.3: reset by mail', () => {
  const ask = (here: World, identifier: string, browser = new Browser(here.sessions)) =>
    browser.request(session => here.auth.requestReset(session, { identifier }))
  const reset = (here: World, token: string, password = NEW, browser = new Browser(here.sessions)) =>
    browser.request(session => here.auth.resetPassword(session, { token, password }))
  const mail = async (here: World, count = 1) => {
    await expect.poll(() => here.users.mails.length).toBe(count)
    return here.users.mails[count - 1]?.token as string
  }

  test('sets the password, ends every session, signs nobody in', async () => {
    const here = world()
    const { id, email, browsers } = await signedIn(here, 2)
    await ask(here, email)
    const token = await mail(here)
    const browser = new Browser(here.sessions, '198.51.100.1')
    expect(await reset(here, token, NEW, browser)).toEqual({ ok: true, userId: id })
    for (const one of [...browsers, browser]) expect(await one.whoAmI()).toBeUndefined()
    expect(await login(browser, here, email, PASSWORD)).toMatchObject({ reason: 'invalid' })
    expect(await login(browser, here, email, NEW)).toMatchObject({ ok: true })
    expect(named(here, 'password.saved')).toEqual([{ name: 'password.saved', event: { userId: id, why: 'reset' } }])
  })

  test('works once; and neither do the other links of that person afterwards', async () => {
    const here = world()
    const { email } = await here.person(PASSWORD)
    await ask(here, email)
    await ask(here, email)
    const [first, second] = [await mail(here, 2), here.users.mails[0]?.token as string]
    expect(await reset(here, first)).toMatchObject({ ok: true })
    for (const token of [first, second])
      expect(await reset(here, token, `${NEW} again`)).toEqual({ ok: false, reason: 'invalid' })
  })

  test('works once also when it is used twice at the same moment', async () => {
    const here = world()
    const { email } = await here.person(PASSWORD)
    await ask(here, email)
    const token = await mail(here)
    const before = here.auth.hashing.computed
    const results = await Promise.all(Array.from({ length: 10 }, (_, i) => reset(here, token, `${NEW} ${i}`)))
    expect(results.filter(({ ok }) => ok)).toHaveLength(1)
    expect(here.auth.hashing.computed - before).toBe(1)
  })

  test('is void after a change of password, and after half an hour', async () => {
    const here = world()
    const { email, browser } = await signedIn(here, 1)
    await ask(here, email)
    const early = await mail(here)
    await browser.request(session => here.auth.changePassword(session, { password: PASSWORD, newPassword: NEW }))
    expect(await reset(here, early)).toMatchObject({ reason: 'invalid' })
    await ask(here, email)
    const late = await mail(here, 2)
    here.clock.advance(30 * 60_000)
    expect(await reset(here, late)).toMatchObject({ reason: 'invalid' })
  })

  test('is void after a change of the address, to which it was sent', async () => {
    const here = world()
    const { id, email } = await here.person(PASSWORD)
    await ask(here, email)
    const token = await mail(here)
    here.users.database.prepare('UPDATE users SET email = ? WHERE id = ?').run('new@example.org', id)
    expect(await reset(here, token)).toMatchObject({ reason: 'invalid' })
  })

  test('ASVS 11.3.3: a token changed by a character, of another secret, or of no shape asks no database', async () => {
    const here = world()
    const other = world({ secret: 'another secret of thirty-two bytes or more, for tests' })
    const { id, email } = await here.person(PASSWORD)
    await ask(here, email)
    const token = await mail(here)
    await other.auth.startReset(other.users.add('x@example.org', null))
    const foreign = await mail(other)
    here.users.calls.length = 0
    const mutants = [...token].map((character, i) => token.slice(0, i) + (character === 'A' ? 'B' : 'A') + token.slice(i + 1))
    for (const bad of ['', 'x', token.slice(1), `${token}x`, foreign, `${id}.x.y.z`, 'x'.repeat(100_000), ...mutants]) {
      expect(await reset(here, bad)).toEqual({ ok: false, reason: 'invalid' })
    }
    expect(await reset(here, { toString: () => token } as unknown as string)).toEqual({ ok: false, reason: 'invalid' })
    expect(here.users.calls).toEqual([])
    expect(await reset(here, token)).toMatchObject({ ok: true })
  })

  test('needs no escaping in a link, and holds neither the password string nor the address', async () => {
    const here = world()
    const { id, email } = await here.person(PASSWORD)
    await ask(here, email)
    const token = await mail(here)
    expect(encodeURIComponent(token)).toBe(token)
    for (const part of token.split('.')) {
      const plain = Buffer.from(part, 'base64url').toString()
      expect(plain).not.toContain(here.users.hashOf(id))
      expect(plain).not.toContain(email)
    }
  })

  test('a weak password is refused with its reason, and the token stays good', async () => {
    const here = world()
    const { email } = await here.person(PASSWORD)
    await ask(here, email)
    const token = await mail(here)
    expect(await reset(here, token, 'password1')).toMatchObject({ reason: 'weak', problem: 'common' })
    expect(await reset(here, token)).toMatchObject({ ok: true })
  })

  test('ASVS 6.3.8: asked for nobody, or for a disabled account, the answer is the same, and no mail goes out', async () => {
    const here = world()
    const [known, disabled] = [await here.person(PASSWORD), await here.person(PASSWORD)]
    here.users.disableUser(disabled.id)
    for (const identifier of [known.email, disabled.email, 'nobody@example.org', '', 'half\ud800']) {
      const exchange = await new Browser(here.sessions).open()
      expect(await here.auth.requestReset(exchange.session, { identifier })).toEqual({ ok: true })
      expect((await exchange.commit()).setCookie).toEqual([])
    }
    await mail(here)
    await setImmediate()
    expect(here.users.mails.map(({ userId }) => userId)).toEqual([known.id])
  })

  test('the answer does not wait for the mail, and does not fail with it', async () => {
    const never = new Promise<void>(() => {})
    const slow = world({ sendReset: () => never })
    expect(await ask(slow, (await slow.person(PASSWORD)).email)).toEqual({ ok: true })
    const broken = world({ sendReset: () => Promise.reject(new Error('no mail server')) })
    const { id, email } = await broken.person(PASSWORD)
    expect(await ask(broken, email)).toEqual({ ok: true })
    await expect
      .poll(() => named(broken, 'reset.unsent'))
      .toEqual([{ name: 'reset.unsent', event: { userId: id, error: new Error('no mail server') } }])
  })

  test('three mails an hour to one account, from wherever they are asked for; of nobody, the same refusal', async () => {
    const here = world()
    const { email } = await here.person(PASSWORD)
    for (const identifier of [email, 'nobody@example.org']) {
      const answers = []
      for (let i = 0; i < 5; i++) answers.push(await ask(here, identifier, new Browser(here.sessions, `192.0.2.${i}`)))
      expect(answers.map(answer => answer.ok)).toEqual([true, true, true, false, false])
      expect(answers[4]).toEqual({ ok: false, reason: 'throttled', retryAfter: 3600 })
    }
    await mail(here, 3)
  })

  test('twenty from one address, for whomever', async () => {
    const here = world()
    const answers = []
    for (let i = 0; i < 25; i++) answers.push(await ask(here, `user${i}@example.org`))
    expect(answers.filter(({ ok }) => ok)).toHaveLength(20)
  })

  test('ASVS 6.4.1, 6.4.6: an administrator may start one; an account without a password begins so', async () => {
    const here = world()
    const id = here.users.add('new@example.org', null)
    expect(await here.auth.startReset(id)).toBe(true)
    const late = await mail(here)
    here.clock.advance(30 * 60_000)
    expect(await reset(here, late)).toMatchObject({ reason: 'invalid' })
    expect(await here.auth.startReset(id)).toBe(true)
    const token = await mail(here, 2)
    expect(token.split('.').slice(1)).not.toEqual(late.split('.').slice(1))
    expect(await reset(here, token)).toEqual({ ok: true, userId: id })
    expect(await reset(here, token, `not ${NEW}`)).toMatchObject({ reason: 'invalid' })
    expect(await login(new Browser(here.sessions), here, 'new@example.org', NEW)).toMatchObject({ ok: true })
    here.users.disableUser(id)
    expect(await here.auth.startReset(id)).toBe(false)
    expect(await here.auth.startReset('nobody')).toBe(false)
  })

  test('numbers for user ids stay numbers', async () => {
    const ids: unknown[] = []
    const here = world({
      findCredentials: id => {
        ids.push(id)
        return { passwordHash: null }
      },
    })
    await here.auth.startReset(42 as unknown as string)
    await reset(here, await mail(here))
    expect(ids).toEqual([42, 42])
  })
})

describe('ASVS 7.4.2: disabling an account', () => {
  test('ends its sessions, and no login follows', async () => {
    const here = world()
    const { id, email, browsers } = await signedIn(here, 3)
    await here.auth.disable(id)
    for (const browser of browsers) expect(await browser.whoAmI()).toBeUndefined()
    expect(await login(new Browser(here.sessions), here, email)).toEqual({ ok: false, reason: 'invalid' })
    expect(named(here, 'account.disabled')).toEqual([{ name: 'account.disabled', event: { userId: id } }])
  })

  test('a store that is down is an error; calling it again ends the sessions', async () => {
    const gate = gatedStore(memoryStore())
    const here = world({ store: gate.store })
    const { id, browser } = await signedIn(here, 1)
    gate.failNext('revokeUser', 'before', new Error('no answer'))
    await expect(here.auth.disable(id)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await here.auth.disable(id)
    expect(await browser.whoAmI()).toBeUndefined()
  })
})

describe('enabling an account again', () => {
  test('lets its owner sign in, and brings no session back', async () => {
    const here = world()
    const { id, email, browsers } = await signedIn(here, 2)
    await here.auth.disable(id)
    await here.auth.enable(id)
    for (const browser of browsers) expect(await browser.whoAmI()).toBeUndefined()
    expect(await login(new Browser(here.sessions), here, email)).toMatchObject({ ok: true })
    expect(named(here, 'account.enabled')).toEqual([{ name: 'account.enabled', event: { userId: id } }])
  })

  test('ends what a disabling left behind that met an outage, and enables nobody in one', async () => {
    const gate = gatedStore(memoryStore())
    const here = world({ store: gate.store })
    const { id, email, browser } = await signedIn(here, 1)
    gate.failNext('revokeUser', 'before', new Error('no answer'))
    await expect(here.auth.disable(id)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    gate.failNext('revokeUser', 'before', new Error('no answer'))
    await expect(here.auth.enable(id)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(await login(new Browser(here.sessions), here, email)).toMatchObject({ reason: 'invalid' })
    await here.auth.enable(id)
    expect(await browser.whoAmI()).toBeUndefined()
    expect(await login(new Browser(here.sessions), here, email)).toMatchObject({ ok: true })
  })
})

describe('a token that was replaced long ago comes again', () => {
  test('is told, with whose it is; one of a parallel request is not', async () => {
    const here = world()
    const { id, browser } = await signedIn(here, 1)
    const stolen = browser.copy()
    await browser.request(session => here.auth.reauthenticate(session, { password: PASSWORD }))
    expect(await stolen.whoAmI()).toBeUndefined()
    await setImmediate()
    expect(named(here, 'token.reused')).toEqual([])
    here.clock.advance(3_600_000)
    expect(await stolen.whoAmI()).toBeUndefined()
    await expect
      .poll(() => named(here, 'token.reused'))
      .toEqual([
        { name: 'token.reused', event: { userId: id, sessionId: expect.any(String), ip: '192.0.2.1', agoMs: 3_600_000 } },
      ])
  })
})

test('a sign-up marks the browser as known', async () => {
  const here = world()
  const { id, email } = await here.person(PASSWORD)
  const browser = new Browser(here.sessions)
  await browser.request(async session => {
    await session.login(id)
    await here.auth.rememberDevice(session)
  })
  await browser.request(session => session.logout())
  await login(browser, here, email)
  expect(named(here, 'login.new-device')).toEqual([])
  await expect(new Browser(here.sessions).request(session => here.auth.rememberDevice(session))).rejects.toMatchObject({
    code: 'NOT_AUTHENTICATED',
  })
})

describe('ASVS 6.3.8: signing up', () => {
  const signUp = (here: World, identifier: string, password = PASSWORD, browser = new Browser(here.sessions)) =>
    browser.request(session => here.auth.prepareSignUp(session, { identifier, password }))

  test('gives the string to store, by which the person then signs in', async () => {
    const here = world()
    const prepared = await signUp(here, 'ann@example.org')
    if (!prepared.ok) throw new Error(prepared.reason)
    here.users.add('ann@example.org', prepared.passwordHash)
    expect(await login(new Browser(here.sessions), here, 'ann@example.org')).toMatchObject({ ok: true })
  })

  test('a taken address, a weak password and garbage are told without a hash', async () => {
    const here = world()
    const { email } = await here.person(PASSWORD)
    const before = here.auth.hashing.computed
    expect(await signUp(here, email)).toEqual({ ok: false, reason: 'taken' })
    expect(await signUp(here, 'jane.doe@example.org', 'jane.doe1')).toMatchObject({ reason: 'weak', problem: 'guessable' })
    expect(await signUp(here, 'ann\0@example.org')).toEqual({ ok: false, reason: 'invalid' })
    expect(here.auth.hashing.computed - before).toBe(0)
  })

  test('a hundred from one address in an hour, for whomever; the others are told, and cost no hash', async () => {
    const here = world()
    const { email } = await here.person(PASSWORD)
    const before = here.auth.hashing.computed
    const identifiers = Array.from({ length: 300 }, (_, i) => (i % 2 === 0 ? email : `user${i}@example.org`))
    const results = await Promise.all(identifiers.map(identifier => signUp(here, identifier)))
    const refused = results.filter(result => !result.ok && result.reason === 'throttled')
    expect(refused).toEqual(Array(200).fill({ ok: false, reason: 'throttled', retryAfter: 3600 }))
    expect(here.auth.hashing.computed - before).toBe(50)
    expect(named(here, 'sign-up.throttled')).toHaveLength(200)
    const elsewhere = new Browser(here.sessions, '198.51.100.1')
    expect(await signUp(here, 'bob@example.org', PASSWORD, elsewhere)).toMatchObject({ ok: true })
    expect(await login(new Browser(here.sessions), here, email)).toMatchObject({ ok: true })
  })
})

test('ASVS 6.3.4: login, step-up and change of password sign in, each once; nothing else that auth can do does', async () => {
  const here = world()
  const { id, email } = await here.person(PASSWORD)
  const browser = new Browser(here.sessions)
  let logins = 0
  here.sessions.on('login', () => logins++)
  const { auth } = here
  const link = async () => {
    await auth.startReset(id)
    return here.users.mails.at(-1)?.token as string
  }
  const acts: Record<string, [expected: number, act: () => unknown]> = {
    on: [0, () => auth.on('login.failed', () => {})],
    hashing: [0, () => auth.hashing],
    login: [1, () => login(browser, here, email)],
    reauthenticate: [1, () => browser.request(session => auth.reauthenticate(session, { password: PASSWORD }))],
    changePassword: [1, () => browser.request(session => auth.changePassword(session, { password: PASSWORD, newPassword: NEW }))],
    rememberDevice: [0, () => browser.request(session => auth.rememberDevice(session))],
    prepareSignUp: [0, () => browser.request(session => auth.prepareSignUp(session, { identifier: 'x', password: PASSWORD }))],
    hashPassword: [0, () => auth.hashPassword(PASSWORD)],
    requestReset: [0, () => browser.request(session => auth.requestReset(session, { identifier: email }))],
    startReset: [0, link],
    resetPassword: [
      0,
      () => browser.request(async session => auth.resetPassword(session, { token: await link(), password: PASSWORD })),
    ],
    disable: [0, () => auth.disable(id)],
    enable: [0, () => auth.enable(id)],
    close: [0, () => {}],
  }
  const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(auth)).filter(name => name !== 'constructor')
  expect(Object.keys(acts).sort()).toEqual(methods.sort())
  for (const [name, [expected, act]] of Object.entries(acts)) {
    logins = 0
    await act()
    expect([name, logins]).toEqual([name, expected])
  }
})
