import type { Server } from 'node:http'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { isLong } from '../../../../test/long.ts'
import { CHROMIUM_ARGS } from '../../../../test/services/chromium.ts'
import { service } from '../../../../test/services/service.ts'
import { createSessions, type Sessions } from '../../src/core/sessions.ts'
import type { TokenUse } from '../../src/csrf/options.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { SECRET } from '../core/world.ts'
import { type Act, type Kind, kinds, type Running } from './apps.ts'
import { anybody, portOf, type Seen, stripping, Watch } from './wild.ts'

/**
 * DESIGN §8 in a real browser: pages of two origins and more, each of which tries to change something in the app.
 *
 * Names under `localhost` are trustworthy to Chromium also without TLS, so it sends `Sec-Fetch-Site` there, as it does
 * over https. To names under `test` it does not: these requests are what an older browser sends.
 * A proxy that takes `Origin` away as well makes a browser of before that out of it.
 */
const browserProgram = await service('chromium')

let changed = 0
const PAGE = '<!doctype html><title>app</title>'

const acts: Readonly<Record<string, Act>> = {
  'GET /page': () => PAGE,
  'GET /form': ({ session }, csrfToken) =>
    `${PAGE}<form method="post" action="/change"><input type="hidden" name="_csrf" value="${csrfToken(session)}"></form>`,
  'GET /change': () => 'nothing is changed by a GET',
  'POST /change': () => `${PAGE}changed ${++changed}`,
  'PUT /change': () => `${PAGE}changed ${++changed}`,
  'DELETE /change': () => `${PAGE}changed ${++changed}`,
  'POST /login': async ({ session }) => {
    await session.login('ann')
    return 'in'
  },
}

/** Everything that listens during the tests of one adapter. */
interface Stage {
  readonly sessions: Sessions
  readonly watch: Watch
  readonly ports: { readonly app: number; readonly strip: number; readonly other: number }
  close(): Promise<void>
}

async function setUp(kind: Kind, tokens: TokenUse): Promise<Stage> {
  const sessions = createSessions({ store: memoryStore(), secret: SECRET, production: false })
  const other = anybody()
  const otherPort = await portOf(other)
  const trustedOrigins = [`http://trusted.localhost:${otherPort}`, `http://trusted.test:${otherPort}`]
  const app: Running & { server?: Server } = await kind.start(sessions, { trustedOrigins, tokens }, acts)
  const appPort = Number(app.host.split(':')[1])
  const strip = stripping(appPort, ['origin', 'sec-fetch-site', 'sec-fetch-mode', 'sec-fetch-dest', 'sec-fetch-user'])
  const stripPort = await portOf(strip)
  return {
    sessions,
    watch: new Watch(app.server as Server),
    ports: { app: appPort, strip: stripPort, other: otherPort },
    async close() {
      for (const server of [other, strip]) server.closeAllConnections()
      await Promise.all([other, strip].map(server => new Promise(resolve => server.close(resolve))))
      await app.close()
      await sessions.close()
    },
  }
}

type Age = 'today' | 'old' | 'oldest'

/** Where the app is to a browser of this age. */
function appAt(age: Age, { ports }: Stage): string {
  const at = { today: `a.localhost:${ports.app}`, old: `a.test:${ports.app}`, oldest: `a.test:${ports.strip}` }
  return `http://${at[age]}`
}

const top = (age: Age) => (age === 'today' ? 'localhost' : 'test')

/**
 * Whose page it is that sends, and its address.
 *
 * `localhost` and `test` are public suffixes to Chromium, by the list's rule for what it does not name. So `a.localhost` and
 * `b.localhost` are two sites, strangers as under any suffix, and what is same-site with ours is `blog.a.localhost`.
 */
const senders = {
  'our own page': (age: Age, stage: Stage) => `${appAt(age, stage)}/page`,
  'another port of our host': (age: Age, { ports }: Stage) => `http://a.${top(age)}:${ports.other}/`,
  'a subdomain of ours': (age: Age, { ports }: Stage) => `http://blog.a.${top(age)}:${ports.other}/`,
  'b.localhost (ours is a.localhost)': (_age: Age, { ports }: Stage) => `http://b.localhost:${ports.other}/`,
  'b.test (ours is a.test)': (_age: Age, { ports }: Stage) => `http://b.test:${ports.other}/`,
  'another site': (age: Age, { ports }: Stage) => `http://evil.${top(age)}:${ports.other}/`,
  'another site whose address has ours as userinfo': (age: Age, stage: Stage) =>
    `${appAt(age, stage)}@evil.${top(age)}:${stage.ports.other}/`,
  'our host with a trailing dot': (age: Age, { ports }: Stage) => `http://a.${top(age)}.:${ports.other}/`,
  'the trusted site': (age: Age, { ports }: Stage) => `http://trusted.${top(age)}:${ports.other}/`,
} as const

type Sender = keyof typeof senders

/** What the page does, as a script in it; `$to` is the address. */
const means = {
  form: submitting(''),
  'form, multipart': submitting('multipart/form-data'),
  'form, plain text': submitting('text/plain'),
  'form to an address with userinfo': submitting('', "$to.replace('//', '//ann:x@')"),
  'form in a sandboxed frame': inSandbox(submitting('', '@to')),
  'form under no-referrer': `{ const m = document.createElement('meta'); m.name = 'referrer'; m.content = 'no-referrer';
    document.head.append(m); ${submitting('')} }`,
  'form by way of another site (307)': submitting('', '$bounce'),
  'fetch without CORS': "fetch($to, { method: 'POST', mode: 'no-cors', credentials: 'include', body: 'x=1' })",
  beacon: "navigator.sendBeacon($to, 'x=1')",
  'XMLHttpRequest with a form': `{ const x = new XMLHttpRequest(); x.open('POST', $to); x.withCredentials = true;
    x.setRequestHeader('Content-Type', 'application/x-www-form-urlencoded'); x.send('x=1') }`,
  'fetch of JSON':
    "fetch($to, { method: 'POST', credentials: 'include', headers: { 'Content-Type': 'application/json' }, body: '{}' })",
  'fetch with X-Requested-With': "fetch($to, { method: 'POST', credentials: 'include', headers: { 'X-Requested-With': 'x' } })",
  'fetch with X-CSRF-Token': `fetch($to, { method: 'POST', credentials: 'include',
    headers: { 'X-CSRF-Token': (document.cookie.match(/csrf-token=([^;]*)/) || [])[1] || 'none' } })`,
  'fetch by PUT': "fetch($to, { method: 'PUT', credentials: 'include' })",
  'fetch by DELETE': "fetch($to, { method: 'DELETE', credentials: 'include' })",
  image: '{ const i = new Image(); i.src = $to; document.body.append(i) }',
  link: "{ const a = document.createElement('a'); a.href = $to; document.body.append(a); a.click() }",
  'new window': 'window.open($to)',
  frame: "{ const f = document.createElement('iframe'); f.src = $to; document.body.append(f) }",
} as const

type Means = keyof typeof means

function submitting(enctype: string, to = '$to'): string {
  return `{ const f = document.createElement('form'); f.method = 'post'; f.enctype = '${enctype}'; f.action = ${to};
    const i = document.createElement('input'); i.name = 'x'; i.value = '1'; f.append(i); document.body.append(f); f.submit() }`
}

/** In a frame whose origin is `null` to browsers. `@to` is the address there. */
function inSandbox(script: string): string {
  return `{ const f = document.createElement('iframe'); f.sandbox = 'allow-scripts allow-forms';
    f.srcdoc = '<body><script>' + ${JSON.stringify(script)}.replaceAll('@to', JSON.stringify($to)) + '<' + '/script>';
    document.body.append(f) }`
}

/** What becomes of it: a status, or stopped by the browser, which asked by a preflight and got no leave. */
type Outcome = 200 | 403 | 'preflight'

/** The sender, the means, what the browser says in `Sec-Fetch-Site` and `Origin`, and the outcome. */
type Row = readonly [Sender, Means, site: string | undefined, origin: 'own' | 'theirs' | 'null' | undefined, Outcome]

const today: readonly Row[] = [
  ['our own page', 'form', 'same-origin', 'own', 200],
  ['our own page', 'form, multipart', 'same-origin', 'own', 200],
  ['our own page', 'form under no-referrer', 'same-origin', 'null', 200],
  ['our own page', 'fetch without CORS', 'same-origin', 'own', 200],
  ['our own page', 'fetch of JSON', 'same-origin', 'own', 200],
  ['our own page', 'fetch by DELETE', 'same-origin', 'own', 200],
  ['our own page', 'beacon', 'same-origin', 'own', 200],
  ['our own page', 'form in a sandboxed frame', 'cross-site', 'null', 403],
  ['our own page', 'form by way of another site (307)', 'cross-site', 'null', 403],
  ['another port of our host', 'form', 'same-site', 'theirs', 403],
  ['another port of our host', 'fetch without CORS', 'same-site', 'theirs', 403],
  ['another port of our host', 'fetch of JSON', undefined, undefined, 'preflight'],
  ['another port of our host', 'image', 'same-site', undefined, 200],
  ['another port of our host', 'link', 'same-site', undefined, 200],
  ['another port of our host', 'new window', 'same-site', undefined, 200],
  ['another port of our host', 'frame', 'same-site', undefined, 200],
  ['a subdomain of ours', 'form', 'same-site', 'theirs', 403],
  ['a subdomain of ours', 'fetch without CORS', 'same-site', 'theirs', 403],
  ['a subdomain of ours', 'beacon', 'same-site', 'theirs', 403],
  ['a subdomain of ours', 'image', 'same-site', undefined, 200],
  ['b.localhost (ours is a.localhost)', 'form', 'cross-site', 'theirs', 403],
  ['b.localhost (ours is a.localhost)', 'fetch without CORS', 'cross-site', 'theirs', 403],
  ['b.localhost (ours is a.localhost)', 'image', 'cross-site', undefined, 200],
  ['b.localhost (ours is a.localhost)', 'link', 'cross-site', undefined, 200],
  ['another site', 'form', 'cross-site', 'theirs', 403],
  ['another site', 'form, multipart', 'cross-site', 'theirs', 403],
  ['another site', 'form, plain text', 'cross-site', 'theirs', 403],
  ['another site', 'form to an address with userinfo', 'cross-site', 'theirs', 403],
  ['another site', 'form in a sandboxed frame', 'cross-site', 'null', 403],
  ['another site', 'form under no-referrer', 'cross-site', 'null', 403],
  ['another site', 'fetch without CORS', 'cross-site', 'theirs', 403],
  ['another site', 'XMLHttpRequest with a form', 'cross-site', 'theirs', 403],
  ['another site', 'beacon', 'cross-site', 'theirs', 403],
  ['another site', 'fetch of JSON', undefined, undefined, 'preflight'],
  ['another site', 'fetch with X-Requested-With', undefined, undefined, 'preflight'],
  ['another site', 'fetch with X-CSRF-Token', undefined, undefined, 'preflight'],
  ['another site', 'fetch by PUT', undefined, undefined, 'preflight'],
  ['another site', 'fetch by DELETE', undefined, undefined, 'preflight'],
  ['another site', 'image', 'cross-site', undefined, 200],
  ['another site', 'link', 'cross-site', undefined, 200],
  ['another site', 'new window', 'cross-site', undefined, 200],
  ['another site', 'frame', 'cross-site', undefined, 200],
  ['another site whose address has ours as userinfo', 'form', 'cross-site', 'theirs', 403],
  ['our host with a trailing dot', 'form', 'cross-site', 'theirs', 403],
  ['the trusted site', 'form', 'cross-site', 'theirs', 200],
  ['the trusted site', 'form in a sandboxed frame', 'cross-site', 'null', 403],
]

const old: readonly Row[] = [
  ['our own page', 'form', undefined, 'own', 200],
  ['our own page', 'fetch without CORS', undefined, 'own', 200],
  ['our own page', 'fetch by DELETE', undefined, 'own', 200],
  ['our own page', 'form in a sandboxed frame', undefined, 'null', 403],
  ['our own page', 'form under no-referrer', undefined, 'null', 403],
  ['our own page', 'form by way of another site (307)', undefined, 'null', 403],
  ['another port of our host', 'form', undefined, 'theirs', 403],
  ['another port of our host', 'fetch without CORS', undefined, 'theirs', 403],
  ['another port of our host', 'image', undefined, undefined, 200],
  ['another port of our host', 'link', undefined, undefined, 200],
  ['a subdomain of ours', 'form', undefined, 'theirs', 403],
  ['a subdomain of ours', 'fetch without CORS', undefined, 'theirs', 403],
  ['b.test (ours is a.test)', 'form', undefined, 'theirs', 403],
  ['another site', 'form', undefined, 'theirs', 403],
  ['another site', 'form, plain text', undefined, 'theirs', 403],
  ['another site', 'form to an address with userinfo', undefined, 'theirs', 403],
  ['another site', 'fetch without CORS', undefined, 'theirs', 403],
  ['another site', 'beacon', undefined, 'theirs', 403],
  ['another site', 'fetch of JSON', undefined, undefined, 'preflight'],
  ['another site', 'image', undefined, undefined, 200],
  ['another site', 'link', undefined, undefined, 200],
  ['another site whose address has ours as userinfo', 'form', undefined, 'theirs', 403],
  ['our host with a trailing dot', 'form', undefined, 'theirs', 403],
  ['the trusted site', 'form', undefined, 'theirs', 200],
]

const oldest: readonly Row[] = [
  ['our own page', 'form', undefined, undefined, 403],
  ['our own page', 'form in a sandboxed frame', undefined, undefined, 403],
  ['our own page', 'fetch with X-CSRF-Token', undefined, undefined, 200],
  ['our own page', 'fetch of JSON', undefined, undefined, 200],
  ['our own page', 'fetch with X-Requested-With', undefined, undefined, 200],
  ['another port of our host', 'form', undefined, undefined, 403],
  ['another port of our host', 'fetch without CORS', undefined, undefined, 403],
  ['another port of our host', 'image', undefined, undefined, 200],
  ['another port of our host', 'link', undefined, undefined, 200],
  ['a subdomain of ours', 'form', undefined, undefined, 403],
  ['a subdomain of ours', 'fetch without CORS', undefined, undefined, 403],
  ['b.test (ours is a.test)', 'form', undefined, undefined, 403],
  ['another site', 'form', undefined, undefined, 403],
  ['another site', 'form, plain text', undefined, undefined, 403],
  ['another site', 'form to an address with userinfo', undefined, undefined, 403],
  ['another site', 'form in a sandboxed frame', undefined, undefined, 403],
  ['another site', 'fetch without CORS', undefined, undefined, 403],
  ['another site', 'fetch of JSON', undefined, undefined, 'preflight'],
  ['another site', 'fetch with X-CSRF-Token', undefined, undefined, 'preflight'],
  ['another site whose address has ours as userinfo', 'form', undefined, undefined, 403],
  ['the trusted site', 'form', undefined, undefined, 403],
]

let browser: Browser

beforeAll(async () => {
  if (browserProgram.url === undefined) return
  browser = await chromium.launch({
    executablePath: browserProgram.url,
    args: [
      ...CHROMIUM_ARGS,
      '--host-resolver-rules=MAP *.localhost 127.0.0.1, MAP *.localhost. 127.0.0.1, MAP *.test 127.0.0.1, MAP *.test. 127.0.0.1',
      // Plain http is what makes an old browser here.
      '--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable',
    ],
  })
})

afterAll(() => browser?.close())

/** A browser in which somebody is signed in to the app, under whichever address. */
async function signIn(age: Age, stage: Stage, headers: Record<string, string> = {}): Promise<BrowserContext> {
  const context = await browser.newContext()
  const page = await context.newPage()
  await page.goto(`${appAt(age, stage)}/page`)
  const init = { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers }, body: '{}' }
  expect(await page.evaluate(`fetch('/login', ${JSON.stringify(init)}).then(r => r.text())`)).toBe('in')
  await page.close()
  return context
}

if (!isLong) console.log('the tables in Chromium: NOT RUN whole on Express and Hono: npm run test:long runs them')

/** The rules are one function: on the first adapter the whole table, on the others our form and a stranger’s. */
function rowsFor({ name }: Kind, rows: readonly Row[]): readonly Row[] {
  if (isLong || name === 'node:http') return rows
  return rows.filter(([sender, how]) => how === 'form' && (sender === 'our own page' || sender === 'another site'))
}

let number = 0

/** Lets the page do it. Gives what the app saw of it; undefined if only a preflight came. */
async function attempt(page: Page, script: string, age: Age, stage: Stage): Promise<{ seen: Seen | undefined; n: string }> {
  const n = `t${++number}`
  const to = `${appAt(age, stage)}/change?n=${n}`
  const bounce = `http://evil.${top(age)}:${stage.ports.other}/bounce?to=${encodeURIComponent(to)}`
  const code = script.replaceAll('$to', JSON.stringify(to)).replaceAll('$bounce', JSON.stringify(bounce))
  // A moment later: a page that has left gives its driver no answer.
  await page.evaluate(`void setTimeout(() => { ${code} }, 10)`)
  return { seen: await stage.watch.first(n), n }
}

const chosen = kinds.filter(({ name }) => ['node:http', 'Express 5', 'Hono'].includes(name))

describe.skipIf(browserProgram.missing).each(chosen)('DESIGN §8 in Chromium, on $name', kind => {
  describe.each([
    ['today', today],
    ['old', old],
    ['oldest', oldest],
  ] as const)('a browser of %s', (age, rows) => {
    let stage: Stage
    let context: BrowserContext
    beforeAll(async () => {
      stage = await setUp(kind, 'accepted')
      context = await signIn(age, stage)
    })
    afterAll(async () => {
      await context.close()
      await stage.close()
    })

    test.each(rowsFor(kind, rows))('%s, %s (Sec-Fetch-Site: %s, Origin: %s): %s', async (sender, how, site, origin, outcome) => {
      const address = senders[sender](age, stage)
      const page = await context.newPage()
      await page.goto(address)
      changed = 0
      const { seen, n } = await attempt(page, means[how], age, stage)
      // Not awaited: the driver may wait for ever for a page that is just leaving. The context's end ends it.
      void page.close().catch(() => {})
      if (outcome === 'preflight') {
        expect(seen).toBeUndefined()
        // A proxy of old takes the preflight's Origin too; that it came is enough.
        expect(stage.watch.methods(n)).toEqual(['OPTIONS'])
      } else {
        const origins = { own: appAt(age, stage), theirs: new URL(address).origin, null: 'null' }
        expect(seen).toMatchObject({ status: outcome, site, origin: origin && origins[origin] })
      }
      const unsafe = seen !== undefined && seen.method !== 'GET'
      expect(changed).toBe(unsafe && outcome === 200 ? 1 : 0)
    })
  })

  describe('what headers cannot do', () => {
    let stage: Stage
    let contexts: BrowserContext[]
    async function stageOf(tokens: TokenUse): Promise<void> {
      stage = await setUp(kind, tokens)
      contexts = []
      changed = 0
    }
    async function open(context: BrowserContext, address: string): Promise<Page> {
      contexts.push(context)
      const page = await context.newPage()
      await page.goto(address)
      return page
    }
    afterEach(async () => {
      await Promise.all(contexts.map(context => context.close()))
      await stage.close()
    })
    const submit = (page: Page) => page.evaluate('void setTimeout(() => document.forms[0].submit(), 10)')
    const word = (page: Page, text: string) => page.waitForFunction(`document.body.innerText.includes('${text}')`)

    test("a post of a subdomain comes with the session's cookie, one of b.localhost to a.localhost without: both are refused", async () => {
      await stageOf('accepted')
      const context = await signIn('today', stage)
      for (const [sender, site, signedIn] of [
        ['a subdomain of ours', 'same-site', true],
        ['b.localhost (ours is a.localhost)', 'cross-site', false],
      ] as const) {
        const page = await open(context, senders[sender]('today', stage))
        const { seen } = await attempt(page, means.form, 'today', stage)
        expect(seen).toMatchObject({ signedIn, site, status: 403 })
      }
      expect(changed).toBe(0)
    })

    test('a form with its hidden field works in the oldest browser, until somebody signs in', async () => {
      await stageOf('accepted')
      const context = await browser.newContext()
      const page = await open(context, `${appAt('oldest', stage)}/form`)
      const stale = await open(context, `${appAt('oldest', stage)}/form`)
      await submit(page)
      await word(page, 'changed 1')
      expect((await context.cookies()).map(({ name, httpOnly }) => [name, httpOnly]).sort()).toEqual([
        ['csrf', true],
        ['csrf-token', false],
      ])
      expect((await stage.sessions.scan()).sessions).toEqual([])
      await page.evaluate("fetch('/login', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' })")
      expect((await context.cookies()).map(({ name }) => name).sort()).toEqual(['csrf-token', 'sid'])
      await submit(stale)
      await word(stale, 'Invalid CSRF token')
      expect(changed).toBe(1)
    })

    test("where tokens are required our scripts send the cookie's, and another site's can read neither cookie nor form", async () => {
      await stageOf('required')
      const page = await open(await browser.newContext(), `${appAt('today', stage)}/form`)
      const withToken = "{ method: 'POST', headers: { 'X-CSRF-Token': document.cookie.match(/csrf-token=([^;]*)/)[1] } }"
      const send = (path: string, init: string) => page.evaluate(`fetch('${path}', ${init}).then(r => r.text())`)
      expect(await send('/change', "{ method: 'POST' }")).toBe('{"error":"Invalid CSRF token","code":"BAD_CSRF_TOKEN"}')
      expect(await send('/login', withToken)).toBe('in')
      expect(await send('/change', withToken)).toContain('changed 1')
      expect(await page.evaluate('document.cookie')).toMatch(/^csrf-token=[\w.-]{66}$/)
      const evil = await open(page.context(), senders['another site']('today', stage))
      expect(await evil.evaluate('document.cookie')).toBe('')
      const reading = `fetch('${appAt('today', stage)}/form', { credentials: 'include' }).then(r => r.text(), e => e.name)`
      expect(await evil.evaluate(reading)).toBe('TypeError')
    })
  })
})
