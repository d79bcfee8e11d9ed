import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { AdapterLaw, OpenSite, Routes } from '../adapter-laws.ts'
import type { Browser } from '../browser.ts'
import type { Gate, GatedMethod, Moment } from '../gate.ts'
import { assertError, change, cookiesIn, routes } from './routes.ts'

export const OUTAGE = { error: 'Service unavailable', code: 'STORE_UNAVAILABLE' }
/** What could not be ended at once is ended as soon as the store answers. */
const LONGEST_GHOST_MS = 20_000

/** From now on every call of these methods fails, before it reaches the store or after it took effect. */
export function cutOff(gate: Gate, moment: Moment, ...methods: readonly GatedMethod[]): void {
  gate.onCall(call => {
    if (call.moment === moment && methods.includes(call.method)) throw new Error('no connection')
  })
}

/** What a browser brings along: the session of alice, a visit, or nothing. */
type Visitor = 'alice' | 'visitor' | 'stranger'

/** An act that cannot be carried out, and the data that its browser finds once the store answers again. */
interface Failure {
  readonly act: string
  readonly path: string
  readonly failing: GatedMethod
  readonly as: Visitor
  /** Where it failed before, and after, it took effect. */
  readonly left: readonly [before: string, after: string]
}

const NOBODY = '{}'
const VISIT = '{"seen":1}'
const ALICE = '{"userId":"alice"}'
const SEEN = '{"userId":"alice","seen":1}'

const failures: readonly Failure[] = [
  { act: 'a look at the session', path: '/me', failing: 'read', as: 'alice', left: [ALICE, ALICE] },
  // What took effect stands, though the answer says only that the request may be repeated.
  { act: 'a save', path: '/visit', failing: 'replace', as: 'alice', left: [ALICE, SEEN] },
  { act: 'a logout', path: '/logout', failing: 'delete', as: 'alice', left: [ALICE, NOBODY] },
  // A rotation of unknown outcome ends the session: the old token must not go on, and nobody holds the new one.
  { act: 'rotate()', path: '/rotate', failing: 'replace', as: 'alice', left: [NOBODY, NOBODY] },
  { act: 'a role change', path: '/promote', failing: 'replace', as: 'alice', left: [NOBODY, NOBODY] },
  { act: 'a step-up', path: '/login', failing: 'replace', as: 'alice', left: [NOBODY, NOBODY] },
  { act: "a visitor's login", path: '/login', failing: 'replace', as: 'visitor', left: [NOBODY, NOBODY] },
  { act: 'a first visit', path: '/visit', failing: 'create', as: 'stranger', left: [NOBODY, NOBODY] },
  { act: 'a login', path: '/login', failing: 'create', as: 'stranger', left: [NOBODY, NOBODY] },
  { act: 'an assigned userId', path: '/assign', failing: 'create', as: 'stranger', left: [NOBODY, NOBODY] },
  // What a login asks first: nothing has been done when it fails.
  { act: 'a login', path: '/login', failing: 'marks', as: 'stranger', left: [NOBODY, NOBODY] },
  { act: "a visitor's login", path: '/login', failing: 'marks', as: 'visitor', left: [VISIT, VISIT] },
  { act: 'a step-up', path: '/login', failing: 'marks', as: 'alice', left: [ALICE, ALICE] },
  { act: 'a login as another', path: '/login-bob', failing: 'create', as: 'alice', left: [ALICE, ALICE] },
  {
    act: 'a login as another, at the end of the first,',
    path: '/login-bob',
    failing: 'delete',
    as: 'alice',
    left: [ALICE, NOBODY],
  },
]

/** Acts that landed, and what the handler did next and could not. */
interface HalfWay extends Omit<Failure, 'path'> {
  readonly route: Routes[string]
}

const halfWay: readonly HalfWay[] = [
  {
    act: 'a login that landed, and then a save',
    async route({ session }) {
      await session.login('alice')
      change(session, { seen: 1 })
    },
    failing: 'replace',
    as: 'stranger',
    left: [ALICE, SEEN],
  },
  {
    act: 'a rotation that landed, and then a logout',
    async route({ session }) {
      await session.rotate()
      await session.logout()
    },
    failing: 'delete',
    as: 'alice',
    left: [ALICE, NOBODY],
  },
  {
    act: 'a logout that landed, and then a visit',
    async route({ session }) {
      await session.logout()
      change(session, { seen: 1 })
    },
    failing: 'create',
    as: 'alice',
    left: [NOBODY, NOBODY],
  },
]

async function browserAs(site: OpenSite, visitor: Visitor): Promise<Browser> {
  const browser = site.browser()
  if (visitor === 'alice') await browser.post('/login')
  if (visitor === 'visitor') await browser.post('/visit')
  return browser
}

const whoIs = (data: string) => (data.includes('alice') ? 'alice' : 'nobody')

/** Proves that sooner or later nobody is on file but who holds a token. */
async function assertNoGhost(site: OpenSite, holder: string): Promise<void> {
  const expected = { alice: holder === 'alice' ? 1 : 0, bob: 0 }
  const until = performance.now() + LONGEST_GHOST_MS
  for (;;) {
    const found = { alice: (await site.sessions.list('alice')).length, bob: (await site.sessions.list('bob')).length }
    if (performance.now() > until) assert.deepEqual(found, expected, 'sessions that nobody holds')
    if (found.alice === expected.alice && found.bob === expected.bob) return
    await delay(25)
  }
}

/** Proves what the store holds, and who the browser is, once it answers again. */
async function assertAfterwards(site: OpenSite, browser: Browser, data: string): Promise<void> {
  assert.equal((await browser.get('/data')).body, data)
  assert.equal((await browser.get('/me')).body, whoIs(data))
  await assertNoGhost(site, whoIs(data))
}

function failureLaw({ act, path, failing, as, left }: Failure, moment: Moment): AdapterLaw {
  return {
    law: 6,
    name: `${act} whose ${failing} fails ${moment} it took effect is a 503 without a cookie; then the browser is who it was, or nobody`,
    async prove({ open, gate }) {
      const site = await open({ ...routes, '/rotate': ({ session }) => session.rotate() })
      const browser = await browserAs(site, as)
      cutOff(gate, moment, failing)
      const reply = await browser.post(path)
      assertError(reply, 503, OUTAGE)
      assert.deepEqual(cookiesIn(reply), [])
      assert.equal((await site.browser().get('/me')).body, 'nobody', 'requests without a token go on')
      gate.reset()
      await assertAfterwards(site, browser, left[moment === 'before' ? 0 : 1])
    },
  }
}

function halfWayLaw({ act, route, failing, as, left }: HalfWay, moment: Moment): AdapterLaw {
  return {
    law: 6,
    name: `${act} whose ${failing} fails ${moment} it took effect is a 503 with the cookie of what landed, and the token from before is dead`,
    async prove({ open, gate }) {
      const site = await open({ ...routes, '/half-way': route })
      const browser = await browserAs(site, as)
      const before = site.browser(browser)
      cutOff(gate, moment, failing)
      const reply = await browser.post('/half-way')
      assertError(reply, 503, OUTAGE)
      assert.deepEqual(cookiesIn(reply), ['sid'])
      gate.reset()
      assert.equal((await before.get('/me')).body, 'nobody')
      await assertAfterwards(site, browser, left[moment === 'before' ? 0 : 1])
    },
  }
}

/** A store that fails on any one method, before it did what it was asked to or after: laws over every act that asks it. */
export const failureLaws: readonly AdapterLaw[] = (['before', 'after'] as const).flatMap(moment => [
  ...failures.map(failure => failureLaw(failure, moment)),
  ...halfWay.map(half => halfWayLaw(half, moment)),
])
