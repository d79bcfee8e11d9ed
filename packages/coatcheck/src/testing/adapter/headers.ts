import assert from 'node:assert/strict'
import type { AdapterLaw, Reply, SiteAnswer } from '../adapter-laws.ts'
import { cookiesIn, routes } from './routes.ts'

const DEVELOPMENT = '; Path=/; HttpOnly; SameSite=Lax'
const PRODUCTION = '; Path=/; HttpOnly; Secure; SameSite=Lax'

/** The Set-Cookie lines without the tokens. */
function linesOf(reply: Reply): readonly string[] {
  return reply.headers
    .getSetCookie()
    .map(line => line.replace(/^([^=;]+)=[^;]{20,}/, '$1=…'))
    .sort()
}

function answering(answer: SiteAnswer): typeof routes {
  return {
    ...routes,
    '/answer': ({ session }) => {
      void session.userId
      return answer
    },
    '/answer-login': async ({ session }) => {
      await session.login('alice')
      return answer
    },
  }
}

export const headerLaws: readonly AdapterLaw[] = [
  {
    law: 12,
    name: 'in production the cookie is __Host-, Secure, HttpOnly and SameSite=Lax, and logout expires it with the same',
    async prove({ open }) {
      const site = await open(routes, { production: true, allowInProduction: ['memory-store'] })
      const browser = site.browser()
      assert.deepEqual(linesOf(await browser.post('/visit')), [`__Host-visit=…${PRODUCTION}`])
      const login = linesOf(await browser.post('/login'))
      assert.deepEqual(login[0], `__Host-sid=…${PRODUCTION}`)
      assert.match(
        login[1] ?? '',
        /^__Host-visit=; Max-Age=0; Path=\/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax$/,
      )
      const [logout = ''] = linesOf(await browser.post('/logout'))
      assert.match(
        logout,
        /^__Host-sid=; Max-Age=0; Path=\/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax$/,
      )
    },
  },
  {
    name: 'in development the cookie goes over plain http; remembered, it outlives the browser window by the absolute time',
    async prove({ open }) {
      const site = await open(routes, { absoluteTimeout: '30d' })
      assert.deepEqual(linesOf(await site.browser().post('/login')), [`sid=…${DEVELOPMENT}`])
      assert.deepEqual(linesOf(await site.browser().post('/remember')), [
        'sid=…; Max-Age=2592000; Path=/; HttpOnly; SameSite=Lax',
      ])
    },
  },
  {
    name: 'a response to somebody signed in is private and not stored, and varies by cookie; a visitor sees the latter only',
    async prove({ open }) {
      const site = await open(routes)
      const browser = site.browser()
      const visitor = await browser.get('/me')
      assert.equal(visitor.headers.get('cache-control'), null)
      assert.match(visitor.headers.get('vary') ?? '', /\bcookie\b/i)
      for (const path of ['/login', '/me', '/cart', '/logout']) {
        const { headers } = await browser.post(path)
        assert.equal(headers.get('cache-control'), 'private, no-store', path)
        assert.match(headers.get('vary') ?? '', /\bcookie\b/i, path)
      }
    },
  },
  {
    name: "the handler's own Cache-Control, Vary and Set-Cookie stay, beside what the session adds",
    async prove({ open }) {
      const headers = { 'Cache-Control': 'no-cache', Vary: 'Accept-Language', 'Set-Cookie': ['theme=dark', 'lang=en'] }
      const browser = (await open(answering({ headers }))).browser()
      const reply = await browser.post('/answer-login')
      assert.equal(reply.headers.get('cache-control'), 'no-cache')
      assert.match(reply.headers.get('vary') ?? '', /^Accept-Language, Cookie$/i)
      assert.deepEqual([...cookiesIn(reply)].sort(), ['lang', 'sid', 'theme'])
    },
  },
  {
    name: 'a Vary that says it already is left as it is',
    async prove({ open }) {
      for (const vary of ['*', 'Cookie', 'accept, cookie']) {
        const browser = (await open(answering({ headers: { Vary: vary } }))).browser()
        assert.equal((await browser.get('/answer')).headers.get('vary'), vary)
      }
    },
  },
  {
    name: 'statuses without a body, redirects and errors of the handler carry the cookie like any other',
    async prove({ open }) {
      const answers: readonly SiteAnswer[] = [
        { status: 204 },
        { status: 303, headers: { Location: '/elsewhere' } },
        { status: 404, body: 'none' },
        { status: 500, body: 'broken' },
      ]
      for (const answer of answers) {
        const browser = (await open(answering(answer))).browser()
        const reply = await browser.post('/answer-login')
        assert.equal(reply.status, answer.status)
        assert.equal(reply.body, answer.body ?? '')
        assert.deepEqual(cookiesIn(reply), ['sid'])
        assert.equal((await browser.get('/me')).body, 'alice')
      }
    },
  },
  {
    name: 'a HEAD request is answered as a GET without its body',
    async prove({ open }) {
      const browser = (await open(routes)).browser()
      await browser.post('/login')
      const reply = await browser.head('/me')
      assert.equal(reply.status, 200)
      assert.equal(reply.body, '')
      assert.equal(reply.headers.get('cache-control'), 'private, no-store')
    },
  },
]
