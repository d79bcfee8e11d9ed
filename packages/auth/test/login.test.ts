import { scryptSync } from 'node:crypto'
import { hash as argon2Hash } from '@node-rs/argon2'
import { hash as bcryptHash } from '@node-rs/bcrypt'
import { memoryStore } from 'coatcheck/memory'
import { gatedStore } from 'coatcheck/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { isLong } from '../../../test/long.ts'
import { Browser, openWorld, SECRET, type World } from './support/world.ts'

const PASSWORD = 'k7#pQz!w and more'
/** Of each kind, to compare how long they take. */
const TRIES = isLong ? 200 : 60
const worlds: World[] = []
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close()
})

function world(options: Parameters<typeof openWorld>[0] = {}): World {
  const opened = openWorld(options)
  worlds.push(opened)
  return opened
}

const login = (browser: Browser, { auth }: World, identifier: string, password: string, remember = false) =>
  browser.request(session => auth.login(session, { identifier, password, remember }))

describe('login by password', () => {
  test('the right password signs in, under a new token, freshly authenticated', async () => {
    const here = world()
    const { id, email } = await here.person(PASSWORD)
    const browser = new Browser(here.sessions)
    await browser.request(session => Object.assign(session, { cart: ['umbrella'] }))
    const before = browser.cookie
    expect(await login(browser, here, email, PASSWORD)).toEqual({ ok: true, userId: id })
    expect(await browser.whoAmI()).toBe(id)
    expect(browser.cookie).not.toContain(before)
    const { session } = await browser.open()
    expect(session.authenticatedAt?.getTime()).toBe(here.clock.now())
    expect(session).toMatchObject({ cart: ['umbrella'] })
  })

  test('the identifier is found as your database finds it, the password is taken exactly as typed', async () => {
    const here = world()
    const { id, email } = await here.person(' Padded Password ')
    const browser = new Browser(here.sessions)
    expect(await login(browser, here, email.toUpperCase(), ' Padded Password ')).toEqual({ ok: true, userId: id })
    expect(await login(browser, here, email, 'Padded Password')).toEqual({ ok: false, reason: 'invalid' })
    expect(await login(browser, here, email, ' padded password ')).toEqual({ ok: false, reason: 'invalid' })
  })

  test('the role comes with the credentials, in the one write of the login', async () => {
    const gate = gatedStore(memoryStore())
    const here = world({ store: gate.store })
    const { id, email } = await here.person(PASSWORD)
    const original = here.users.findCredentials
    const withRole = world({
      store: gate.store,
      findUser: here.users.findUser,
      findCredentials: async userId => ({ passwordHash: null, ...(await original(userId)), data: { role: 'admin' } }),
    })
    gate.reset()
    const browser = new Browser(withRole.sessions)
    expect(await login(browser, withRole, email, PASSWORD)).toEqual({ ok: true, userId: id })
    expect([gate.calls.create, gate.calls.replace]).toEqual([1, 0])
    expect((await browser.open()).session.role).toBe('admin')
  })

  test('remember me is asked for, not assumed', async () => {
    const here = world()
    const { email } = await here.person(PASSWORD)
    for (const remember of [false, true]) {
      const exchange = await new Browser(here.sessions).open()
      await here.auth.login(exchange.session, { identifier: email, password: PASSWORD, remember })
      const { setCookie } = await exchange.commit()
      const sid = setCookie.find(line => line.startsWith('sid='))
      expect(sid?.includes('Max-Age')).toBe(remember)
    }
  })

  test.each([
    ['no identifier', '', PASSWORD],
    ['a NUL in it', 'ann\0@example.org', PASSWORD],
    ['a very long one', `${'a'.repeat(2000)}@example.org`, PASSWORD],
    ['half a character', 'ann\ud800@example.org', PASSWORD],
    ['an object, as a JSON body may hold', { $ne: null }, PASSWORD],
    ['an object for a password', 'ann@example.org', { $ne: null }],
    ['no password at all', 'ann@example.org', undefined],
    ['a password of more than 16 KiB', 'ann@example.org', 'x'.repeat(20_000)],
  ])('%s is refused before anybody is looked up', async (_name, identifier, password) => {
    const here = world()
    const form = { identifier, password } as { identifier: string; password: string }
    expect(await new Browser(here.sessions).request(session => here.auth.login(session, form))).toEqual({
      ok: false,
      reason: 'invalid',
    })
    expect(here.users.calls).toEqual([])
    expect(here.auth.hashing.computed).toBe(0)
  })
})

describe('ASVS 6.3.8: nobody learns who has an account', () => {
  async function paths(here: World) {
    const known = await here.person(PASSWORD)
    const disabled = await here.person(PASSWORD)
    here.users.disableUser(disabled.id)
    const without = here.users.add('without@example.org', null)
    const damaged = here.users.add('damaged@example.org', '$argon2id$v=19$m=65536,t=2')
    const short = here.users.add('bcrypt@example.org', await bcryptHash('x'.repeat(80), { cost: 4 }))
    return [
      ['unknown-user', 'nobody@example.org', PASSWORD, undefined],
      ['wrong-password', known.email, 'wrong password', known.id],
      ['disabled', disabled.email, PASSWORD, disabled.id],
      ['disabled', disabled.email, 'wrong password', disabled.id],
      ['no-password', 'without@example.org', PASSWORD, without],
      ['unreadable-password', 'damaged@example.org', PASSWORD, damaged],
      ['beyond-bcrypt', 'bcrypt@example.org', 'x'.repeat(80), short],
    ] as const
  }

  test('unknown, wrong, disabled, without password, damaged: one result, one hash, one number of questions, no cookie', async () => {
    const here = world()
    for (const [why, identifier, password, userId] of await paths(here)) {
      const computed = here.auth.hashing.computed
      here.users.calls.length = 0
      here.events.length = 0
      const exchange = await new Browser(here.sessions).open()
      const result = await here.auth.login(exchange.session, { identifier, password })
      expect([why, result]).toEqual([why, { ok: false, reason: 'invalid' }])
      expect((await exchange.commit()).setCookie).toEqual([])
      expect([why, here.auth.hashing.computed - computed]).toEqual([why, 1])
      expect(here.users.calls).toHaveLength(2)
      expect(here.events).toEqual([{ name: 'login.failed', event: { ip: '192.0.2.1', userAgent: 'Test/1.0', userId, why } }])
    }
  })

  test('a throttled try is told alike, whether or not there is such an account', async () => {
    const here = world({ limits: { perAccount: [{ tries: 3, per: '1h' }] } })
    const { email } = await here.person(PASSWORD)
    const answers: unknown[] = []
    for (const identifier of [email, 'nobody@example.org']) {
      for (let i = 0; i < 4; i++)
        answers.push(await login(new Browser(here.sessions, `192.0.2.${i}`), here, identifier, 'wrong password'))
    }
    expect(answers.slice(0, 4)).toEqual(answers.slice(4))
    expect(answers[3]).toEqual({ ok: false, reason: 'throttled', retryAfter: 3600 })
  })

  test('the time: tries of unknown, wrong and disabled, in turn, with hashes of the default cost', {
    timeout: 120_000,
  }, async () => {
    const limits = {
      perAccount: [{ tries: 1000, per: '1d' }],
      perAccountAndIp: [{ tries: 1000, per: '1d' }],
      perIp: [{ tries: 1000, per: '1d' }],
    } as const
    const here = world({ limits, passwords: { memoryKiB: 19_456, passes: 2 } })
    const known = await here.person(PASSWORD)
    const disabled = await here.person(PASSWORD)
    here.users.disableUser(disabled.id)
    const who = { unknown: 'nobody@example.org', wrong: known.email, disabled: disabled.email }
    const times: Record<keyof typeof who, number[]> = { unknown: [], wrong: [], disabled: [] }
    const browser = new Browser(here.sessions)
    for (let i = 0; i < TRIES; i++) {
      for (const name of ['unknown', 'wrong', 'disabled'] as const) {
        const startedAt = performance.now()
        await login(browser, here, who[name], 'wrong password')
        times[name].push(performance.now() - startedAt)
      }
    }
    const at = (name: keyof typeof who, share: number) =>
      times[name].toSorted((a, b) => a - b)[Math.floor(TRIES * share)] as number
    for (const name of ['unknown', 'wrong', 'disabled'] as const) {
      const [p10, p50, p90] = [at(name, 0.1), at(name, 0.5), at(name, 0.9)]
      console.log(`${TRIES} of ${name.padEnd(8)} p10 ${p10.toFixed(2)} ms  p50 ${p50.toFixed(2)} ms  p90 ${p90.toFixed(2)} ms`)
    }
    // The middle of each lies within the other two's bulk: they overlap.
    for (const a of ['unknown', 'wrong', 'disabled'] as const) {
      for (const b of ['unknown', 'wrong', 'disabled'] as const) {
        expect(at(a, 0.5)).toBeGreaterThan(at(b, 0.05))
        expect(at(a, 0.5)).toBeLessThan(at(b, 0.95))
      }
    }
  })
})

describe('a password stored in an older way', () => {
  const salt = Buffer.from('somesaltsomesalt')
  const base64 = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '')
  const scryptString = () => `$scrypt$ln=4,r=8,p=1$${base64(salt)}$${base64(scryptSync(PASSWORD, salt, 32, { N: 16 }))}`

  test.each([
    ['bcrypt $2b', () => bcryptHash(PASSWORD, { cost: 4 })],
    ['bcrypt $2a', () => bcryptHash(PASSWORD, { cost: 4, version: '2a' })],
    ['bcrypt $2y', () => bcryptHash(PASSWORD, { cost: 4, version: '2y' })],
    ['scrypt', scryptString],
    ['argon2id of less', () => argon2Hash(PASSWORD, { memoryCost: 8, timeCost: 1 })],
  ])('%s is hashed anew at login, and the new string is in the database', async (_name, make) => {
    const here = world({ passwords: { memoryKiB: 16 } })
    const old = await make()
    const id = here.users.add('ann@example.org', old)
    expect(await login(new Browser(here.sessions), here, 'ann@example.org', 'wrong password')).toMatchObject({ ok: false })
    expect(here.users.hashOf(id)).toBe(old)
    expect(await login(new Browser(here.sessions), here, 'ann@example.org', PASSWORD)).toMatchObject({ ok: true })
    expect(here.users.hashOf(id)).toMatch(/^\$argon2id\$v=19\$m=16,t=1,p=1\$/)
    expect(await login(new Browser(here.sessions), here, 'ann@example.org', PASSWORD)).toMatchObject({ ok: true })
    expect(here.users.calls.filter(call => call.startsWith('savePassword'))).toEqual(['savePassword rehash'])
  })

  test('a rehash never undoes a password change made at the same moment', async () => {
    const here = world()
    const id = here.users.add('ann@example.org', await bcryptHash(PASSWORD, { cost: 4 }))
    const changed = await here.auth.hashPassword('another password')
    here.users.beforeSavePassword = () => {
      here.users.database.prepare('UPDATE users SET hash = ? WHERE id = ?').run(changed.ok ? changed.passwordHash : '', id)
    }
    await login(new Browser(here.sessions), here, 'ann@example.org', PASSWORD)
    expect(here.users.hashOf(id)).toBe(changed.ok && changed.passwordHash)
  })

  test('a rehash that cannot be stored is told, and the login goes on', async () => {
    const here = world()
    here.users.add('ann@example.org', await bcryptHash(PASSWORD, { cost: 4 }))
    here.users.beforeSavePassword = () => Promise.reject(new Error('read-only'))
    expect(await login(new Browser(here.sessions), here, 'ann@example.org', PASSWORD)).toMatchObject({ ok: true })
    expect(here.events.map(({ name }) => name)).toContain('rehash.failed')
  })
})

describe('a login is never outrun', () => {
  test('by a password change that comes between the look-up of the old string and the sign-in', async () => {
    const store = gatedStore(memoryStore())
    const here = world({ store: store.store })
    const { id, email } = await here.person(PASSWORD)
    const gate = Promise.withResolvers<void>()
    const reached = Promise.withResolvers<void>()
    here.users.beforeFindCredentials = () => {
      reached.resolve()
      return gate.promise
    }
    const browser = new Browser(here.sessions)
    const exchange = await browser.open()
    const attempt = here.auth.login(exchange.session, { identifier: email, password: PASSWORD })
    await reached.promise
    // The owner changes the password and ends everything; the thief's login has yet to fetch the string.
    await here.sessions.revokeUser(id)
    gate.resolve()
    await expect(attempt).rejects.toMatchObject({ code: 'LOGIN_OVERTAKEN', status: 401 })
    browser.receive((await exchange.commit()).setCookie)
    expect(await browser.whoAmI()).toBeUndefined()
    expect(await here.sessions.list(id)).toEqual([])
  })

  test('by an account that is disabled after the look-up', async () => {
    const here = world()
    const { id, email } = await here.person(PASSWORD)
    const original = here.users.findCredentials
    const overtaken = world({
      findUser: here.users.findUser,
      findCredentials: async userId => {
        const credentials = await original(userId)
        await overtaken.auth.disable(id)
        return credentials
      },
      disableUser: here.users.disableUser,
    })
    const browser = new Browser(overtaken.sessions)
    await expect(
      browser.request(session => overtaken.auth.login(session, { identifier: email, password: PASSWORD })),
    ).rejects.toMatchObject({
      code: 'LOGIN_OVERTAKEN',
    })
    expect(await overtaken.sessions.list(id)).toEqual([])
  })
})

describe('what could not be checked does not count', () => {
  test('a full queue is a 503 with a time to come back, and takes no try away', async () => {
    const here = world({
      passwords: { concurrency: 1, longestQueue: 3, memoryKiB: 19_456, passes: 2 },
      limits: { perIp: [{ tries: 10, per: '1h' }] },
    })
    const { email } = await here.person(PASSWORD)
    const outcomes = await Promise.allSettled(
      Array.from({ length: 9 }, () => login(new Browser(here.sessions), here, email, PASSWORD)),
    )
    const refused = outcomes.filter(outcome => outcome.status === 'rejected')
    expect(refused.length).toBeGreaterThanOrEqual(4)
    for (const { reason } of refused)
      expect(reason).toMatchObject({ code: 'HASHING_OVERLOADED', status: 503, retryAfter: expect.any(Number) })
    for (let i = 0; i < 12; i++)
      expect(await login(new Browser(here.sessions), here, email, PASSWORD)).toMatchObject({ ok: true })
  })

  test("your database's failure is its own error, and takes no try away", async () => {
    const here = world({ limits: { perAccount: [{ tries: 2, per: '1h' }] } })
    const { email } = await here.person(PASSWORD)
    here.users.beforeFindCredentials = () => Promise.reject(new Error('no connection'))
    for (let i = 0; i < 5; i++)
      await expect(login(new Browser(here.sessions), here, email, PASSWORD)).rejects.toThrow('no connection')
    here.users.beforeFindCredentials = () => {}
    expect(await login(new Browser(here.sessions), here, email, PASSWORD)).toMatchObject({ ok: true })
  })
})

describe('the browser is known again', () => {
  test('a first login tells of a new device, a second from the same browser does not, from another does', async () => {
    const here = world()
    const { id, email } = await here.person(PASSWORD)
    const told = () => here.events.filter(({ name }) => name === 'login.new-device')
    const browser = new Browser(here.sessions)
    await login(browser, here, email, PASSWORD)
    expect(told()).toEqual([
      {
        name: 'login.new-device',
        event: { ip: '192.0.2.1', userAgent: 'Test/1.0', userId: id, sessionId: expect.stringMatching(/^[\w-]{22}$/) },
      },
    ])
    await browser.request(session => session.logout())
    await login(browser, here, email, PASSWORD)
    expect(told()).toHaveLength(1)
    await login(new Browser(here.sessions), here, email, PASSWORD)
    expect(told()).toHaveLength(2)
  })

  test('by several people who share it, and by none whose token it is not', async () => {
    const here = world()
    const [ann, bob] = [await here.person(PASSWORD), await here.person(PASSWORD)]
    const browser = new Browser(here.sessions)
    for (const { email } of [ann, bob, ann, bob]) await login(browser, here, email, PASSWORD)
    expect(here.events.filter(({ name }) => name === 'login.new-device')).toHaveLength(2)
    expect(browser.jar.get('device')?.split('~')).toHaveLength(2)
    for (let i = 0; i < 5; i++) await login(browser, here, (await here.person(PASSWORD)).email, PASSWORD)
    expect(browser.jar.get('device')?.split('~')).toHaveLength(4)
  })

  test('until its time is over; a changed, foreign or repeated token is none', async () => {
    const here = world({ deviceLifetime: '10d' })
    const [ann, bob] = [await here.person(PASSWORD), await here.person(PASSWORD)]
    const browser = new Browser(here.sessions)
    await login(browser, here, ann.email, PASSWORD)
    const token = browser.jar.get('device') as string
    const isKnown = async (cookie: string, email = ann.email) => {
      const other = new Browser(here.sessions)
      other.jar.set('device', cookie)
      const before = here.events.length
      await login(other, here, email, PASSWORD)
      return !here.events.slice(before).some(({ name }) => name === 'login.new-device')
    }
    expect(await isKnown(token)).toBe(true)
    expect(await isKnown(`garbage~${token}`)).toBe(true)
    expect(await isKnown(token, bob.email)).toBe(false)
    expect(await isKnown(token.replace(/.$/, last => (last === 'A' ? 'B' : 'A')))).toBe(false)
    expect(await isKnown(token.slice(1))).toBe(false)
    expect(await isKnown(`~${'~'.repeat(5000)}${token}`)).toBe(false)
    here.clock.advance(11 * 86_400_000)
    expect(await isKnown(token)).toBe(false)
  })
})

test('ASVS 11.2.2, 13.3.4: the newest secret signs and the older ones verify, so that a rotation forgets no browser; a secret taken out does', async () => {
  const newer = 'a newer secret of thirty-two bytes or more, for tests'
  const first = world()
  const { email, id } = await first.person(PASSWORD)
  const browser = new Browser(first.sessions)
  await login(browser, first, email, PASSWORD)
  const tells = async (secret: string | string[]) => {
    const here = world({ secret })
    here.users.database.prepare('INSERT INTO users (id, email, hash) VALUES (?, ?, ?)').run(id, email, first.users.hashOf(id))
    const same = new Browser(here.sessions)
    same.jar.set('device', browser.jar.get('device') as string)
    await login(same, here, email, PASSWORD)
    return here.events.some(({ name }) => name === 'login.new-device')
  }
  expect(await tells([newer, SECRET])).toBe(false)
  expect(await tells(newer)).toBe(true)
})
