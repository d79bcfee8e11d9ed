import { request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { type Context, Hono } from 'hono'
import { setCookie } from 'hono/cookie'
import { cors } from 'hono/cors'
import { etag } from 'hono/etag'
import { HTTPException } from 'hono/http-exception'
import { stream, streamSSE, streamText } from 'hono/streaming'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  createSessions,
  requireAuth,
  requireFresh,
  requireRole,
  type SessionMiddlewareOptions,
  type SessionVariables,
  session,
} from '../../src/adapters/hono.ts'
import type { Session } from '../../src/core/session.ts'
import type { Sessions } from '../../src/core/sessions.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { Browser } from '../../src/testing/browser.ts'
import { adapterLaws, type Gate, gatedStore, type Served } from '../../src/testing/index.ts'
import { exchangeBytes } from '../http/wire.ts'
import { type App, serveApp, serveWith } from './hono-site.ts'
import { spaces } from './spaces.ts'

const SECRET = 'thirty-two bytes of text at least, for tests'

interface Stage {
  readonly sessions: Sessions
  readonly gate: Gate
  readonly browser: Browser
  readonly ask: Served['ask']
  readonly port: number
}

/** A signed-in browser before an app of the test's own making. */
async function onStage(
  build: (app: App, sessions: Sessions) => unknown,
  act: (stage: Stage) => unknown,
  options: SessionMiddlewareOptions = {},
) {
  const gate = gatedStore(memoryStore())
  const sessions = createSessions({ store: gate.store, secret: SECRET, production: false })
  const app: App = new Hono<{ Variables: SessionVariables }>()
  app.post('/login', session(sessions, options), async c => {
    await c.var.session.login('alice')
    return c.body(null)
  })
  build(app, sessions)
  const served = await serveApp(app)
  try {
    const browser = new Browser(served.ask)
    await browser.post('/login')
    gate.reset()
    await act({ sessions, gate, browser, ask: served.ask, port: served.port })
  } finally {
    gate.reset()
    await served.close()
  }
}

/** Sets keys of the data that the type does not know. */
function change(current: Session, data: Readonly<Record<string, unknown>>): void {
  Object.assign(current, data)
}

async function dataOf(sessions: Sessions, userId = 'alice'): Promise<unknown> {
  const [info] = await sessions.list(userId)
  return (await sessions.get(info?.id ?? ''))?.data
}

/** What was written to the console as an error: Hono writes there what no `onError` takes, and so does the adapter. */
let told: unknown[] = []

beforeEach(() => {
  told = []
  vi.spyOn(console, 'error').mockImplementation((...said) => void told.push(said[0]))
})

afterEach(() => {
  vi.restoreAllMocks()
})

const codesTold = () => told.map(error => (error as { code?: string }).code ?? String(error))

for (const [name, open] of Object.entries(spaces)) {
  describe(`Hono on ${name}`, () => {
    for (const law of adapterLaws({ serve: serveWith(true), open })) test(law.name, law.run)
  })
}

describe('where the session is seen', () => {
  test('by c.var and c.get alike, whole or taken apart, and as the same object', async () => {
    const build = (app: App, sessions: Sessions) =>
      app.use(session(sessions)).get('/me', c => {
        const { session: taken } = c.var
        const spread = { ...c.var }
        const all = [c.get('session'), c.var.session, taken, spread.session]
        return c.json({ one: new Set(all).size, has: 'session' in c.var, userId: c.get('session').userId })
      })
    await onStage(build, async ({ browser }) => {
      expect(JSON.parse((await browser.get('/me')).body)).toEqual({ one: 1, has: true, userId: 'alice' })
    })
  })

  test("in a sub-app, in one with a base path, and in both apps' onError", async () => {
    const build = (app: App, sessions: Sessions) => {
      const sub: App = new Hono<{ Variables: SessionVariables }>()
      sub.get('/me', c => c.json(c.var.session))
      sub.get('/broken', () => {
        throw new Error('broken')
      })
      const own: App = new Hono<{ Variables: SessionVariables }>().basePath('/based')
      own.get('/broken', () => {
        throw new Error('broken')
      })
      own.onError((error, c) => c.json({ own: error.message, userId: c.var.session.userId }, 500))
      app.use(session(sessions)).route('/sub', sub).route('/own', own)
      app.onError((error, c) => c.json({ error: error.message, userId: c.var.session.userId }, 500))
    }
    await onStage(build, async ({ browser }) => {
      expect((await browser.get('/sub/me')).body).toBe('{"userId":"alice"}')
      expect((await browser.get('/sub/broken')).body).toBe('{"error":"broken","userId":"alice"}')
      expect((await browser.get('/own/based/broken')).body).toBe('{"own":"broken","userId":"alice"}')
    })
  })

  test('in a sub-app that brings the middleware itself, also inside of one that has it', async () => {
    const build = (app: App, sessions: Sessions) => {
      const sub = new Hono().use(session(sessions)).get('/me', c => c.json(c.var.session))
      app.route('/alone', sub)
      app.use('/in/*', session(sessions)).route('/in', sub)
    }
    await onStage(build, async ({ browser, gate }) => {
      for (const path of ['/alone/me', '/in/me']) {
        gate.reset()
        expect((await browser.get(path)).body).toBe('{"userId":"alice"}')
        expect(gate.calls.read).toBe(1)
      }
    })
  })

  test('two engines in one app have a variable each, and both are saved', async () => {
    const second = createSessions({
      store: memoryStore(),
      secret: SECRET,
      production: false,
      cookie: { name: 'admin', visitName: 'admin-visit' },
    })
    const build = (app: App, sessions: Sessions) => {
      const both = new Hono().use(session(sessions), session(second, { as: 'adminSession' }))
      app.route(
        '/',
        both
          .get('/both', async c => {
            await c.var.adminSession.login('root')
            change(c.var.session, { seen: 1 })
            return c.json([c.var.session, c.get('adminSession')])
          })
          .get('/admin', requireAuth({ as: 'adminSession' }), c => c.text(`admin ${c.var.adminSession.userId}`)),
      )
    }
    await onStage(build, async ({ browser, sessions }) => {
      expect((await browser.get('/admin')).status).toBe(401)
      expect((await browser.get('/both')).body).toBe('[{"userId":"alice","seen":1},{"userId":"root"}]')
      expect(Object.keys(browser.cookies)).toEqual(['sid', 'admin'])
      expect((await browser.get('/admin')).body).toBe('admin root')
      expect(await dataOf(sessions)).toEqual({ userId: 'alice', seen: 1 })
      expect(await second.list('root')).toHaveLength(1)
    })
  })

  test('two engines of one name, or a variable that another middleware has set, are an error that says what to do', async () => {
    const second = createSessions({ store: memoryStore(), secret: SECRET, production: false })
    const build = (app: App, sessions: Sessions) => {
      app.use('/two', session(sessions), session(second))
      app.use('/foreign', async (c, next) => {
        c.set('session', { foreign: true } as never)
        await next()
      })
      app.use('/foreign', session(sessions))
      app.onError((error, c) => c.json({ code: (error as { code?: string }).code, message: error.message }, 500))
    }
    await onStage(build, async ({ browser }) => {
      for (const path of ['/two', '/foreign']) {
        const { code, message } = JSON.parse((await browser.get(path)).body)
        expect(code).toBe('NO_SESSION')
        expect(message).toMatch(/as: 'adminSession'/)
      }
    })
  })

  // Guard: in hono-visit.ts `refuseBeside`.
  test('two engines that set cookies of one name, and one engine under two names, are an error that says what to do', async () => {
    const options = { store: memoryStore(), secret: SECRET, production: false }
    const [second, apart] = [createSessions(options), createSessions({ ...options, cookie: { path: '/staff' } })]
    const build = (app: App, sessions: Sessions) => {
      const staff = { as: 'staffSession' }
      app.use('/two', session(sessions), session(second, staff))
      app.use('/staff', session(sessions), session(apart, staff)).get('/staff', c => c.text('apart'))
      app.use('/itself', session(sessions)).route(
        '/itself',
        new Hono().use(session(sessions, staff)).get('/', c => c.text('in')),
      )
      app.onError((error, c) => c.json({ code: (error as { code?: string }).code, message: error.message }, 418))
    }
    await onStage(build, async ({ browser }) => {
      const [two, itself] = [JSON.parse((await browser.get('/two')).body), JSON.parse((await browser.get('/itself')).body)]
      expect(two).toEqual({ code: 'BAD_OPTION', message: expect.stringMatching(/'sid'.*cookie: \{ name:/) })
      expect(itself).toEqual({ code: 'NO_SESSION', message: expect.stringContaining("mounted already, as 'session'") })
      expect((await browser.get('/staff')).body).toBe('apart')
    })
  })

  test('to set the variable is refused, and told how to sign out; other variables are set as ever', async () => {
    const build = (app: App, sessions: Sessions) => {
      app.use(session(sessions))
      app.get('/null', c => c.json(c.set('session', null as never) ?? null))
      app.get('/object', c => c.json(c.set('session', { userId: 'mallory' } as never) ?? null))
      app.get('/itself', c => {
        c.set('session', c.var.session)
        return c.json(c.var.session)
      })
      app.get('/other', c => {
        const other: { set(key: string, value: unknown): void } = c
        other.set('other', 1)
        return c.json(c.var)
      })
      app.onError((error, c) => c.text(error.message, 500))
    }
    await onStage(build, async ({ browser }) => {
      expect((await browser.get('/null')).body).toMatch(/await c\.var\.session\.logout\(\)/)
      expect((await browser.get('/object')).body).toMatch(/Set its properties/)
      expect((await browser.get('/itself')).body).toBe('{"userId":"alice"}')
      expect(JSON.parse((await browser.get('/other')).body)).toEqual({ session: { userId: 'alice' }, other: 1 })
    })
  })

  test('without the middleware the variable is undefined, and a guard says what is missing', async () => {
    const build = (app: App) => {
      app.get('/none', c => c.json({ session: typeof c.get('session') }))
      app.get('/guarded', requireAuth(), c => c.text('in'))
      app.onError((error, c) => c.text(error.message, 500))
    }
    await onStage(build, async ({ browser }) => {
      expect((await browser.get('/none')).body).toBe('{"session":"undefined"}')
      expect((await browser.get('/guarded')).body).toMatch(/no c\.var\.session: put session\(sessions\) before/)
    })
  })

  test('a guard in a sub-app leads back to the whole path', async () => {
    const build = (app: App, sessions: Sessions) => {
      const sub = new Hono().get('/page', requireAuth({ loginPath: '/login' }), c => c.text('in'))
      app.use(session(sessions)).route('/sub', sub)
    }
    await onStage(build, async ({ ask }) => {
      const reply = await new Browser(ask).get('/sub/page?tab=1', { accept: 'text/html' })
      expect(reply.headers.get('location')).toBe(`/login?returnTo=${encodeURIComponent('/sub/page?tab=1')}`)
    })
  })

  test('a page load is not sent to sign in where that could not help: the role is missing', async () => {
    const build = (app: App, sessions: Sessions) =>
      app.use(session(sessions)).get('/admin', requireRole('admin', { loginPath: '/login' }), c => c.text('in'))
    await onStage(build, async ({ browser, ask }) => {
      const accept = { accept: 'text/html' }
      expect((await new Browser(ask).get('/admin', accept)).status).toBe(303)
      const reply = await browser.get('/admin', accept)
      expect([reply.status, reply.body]).toEqual([403, '{"error":"Forbidden"}'])
    })
  })

  test("a guard's own answer, and the middleware's, can be a page", async () => {
    const page = (error: unknown) => ({
      status: 418,
      headers: { 'Content-Type': 'text/html' },
      body: `<p>${(error as { code: string }).code}</p>`,
    })
    const build = (app: App, sessions: Sessions) => {
      app.use(session(sessions, { answer: page }))
      app.get('/fresh', requireFresh(1, { answer: page }), c => c.text('in'))
      app.get('/change', c => {
        change(c.var.session, { seen: 1 })
        return c.text('never seen')
      })
    }
    await onStage(build, async ({ browser, gate }) => {
      await delay(2)
      expect((await browser.get('/fresh')).body).toBe('<p>REAUTH_REQUIRED</p>')
      for (const method of ['read', 'replace'] as const) {
        gate.onCall(call => {
          if (call.method === method && call.moment === 'before') throw new Error('no connection')
        })
        const reply = await browser.get('/change')
        expect([reply.status, reply.body]).toEqual([418, '<p>STORE_UNAVAILABLE</p>'])
        gate.reset()
      }
    })
  })
})

describe('errors', () => {
  const failing = async (c: { readonly var: SessionVariables }) => {
    change(c.var.session, { seen: 1 })
    throw new Error('broken')
  }

  test("a handler's error goes to onError; what the handler had changed is saved, as with every other answer", async () => {
    const build = (app: App, sessions: Sessions) => {
      app.use(session(sessions)).get('/', failing)
      app.onError((error, c) => c.json({ mine: error.message }, 418))
    }
    await onStage(build, async ({ browser, sessions }) => {
      const reply = await browser.get('/')
      expect([reply.status, reply.body]).toEqual([418, '{"mine":"broken"}'])
      expect(reply.headers.get('vary')).toBe('Cookie')
      expect(await dataOf(sessions)).toEqual({ userId: 'alice', seen: 1 })
    })
  })

  test("Hono's own answers to errors stay: the plain 500, and an HTTPException's", async () => {
    const build = (app: App, sessions: Sessions) => {
      app.use(session(sessions)).get('/', failing)
      app.get('/teapot', c => {
        change(c.var.session, { tea: 1 })
        throw new HTTPException(418, { message: 'short and stout' })
      })
    }
    await onStage(build, async ({ browser }) => {
      const [plain, teapot] = [await browser.get('/'), await browser.get('/teapot')]
      expect([plain.status, plain.body]).toEqual([500, 'Internal Server Error'])
      expect([teapot.status, teapot.body]).toEqual([418, 'short and stout'])
    })
  })

  test('an error of ours that nobody knew has its own answer, with or without an onError that says 500 to everything', async () => {
    for (const onError of [undefined, true]) {
      const build = (app: App, sessions: Sessions) => {
        app.use(session(sessions))
        app.post('/overtaken', async c => {
          const attempt = await sessions.attempt('bob')
          await sessions.revokeUser('bob')
          await c.var.session.login('bob', { attempt })
          return c.text('never')
        })
        app.get('/list', async c => {
          void c.var.session.userId
          return c.json(await sessions.list('alice'))
        })
        if (onError) app.onError((_error, c) => c.json({ error: 'oops' }, 500, { 'X-Mine': '1' }))
      }
      await onStage(build, async ({ browser, gate }) => {
        const overtaken = await browser.post('/overtaken')
        expect([overtaken.status, overtaken.body]).toEqual([401, '{"error":"Please sign in again","code":"LOGIN_OVERTAKEN"}'])
        expect(overtaken.headers.get('x-mine')).toBeNull()
        gate.onCall(({ method }) => {
          if (method === 'listByUser') throw new Error('no connection')
        })
        const list = await browser.get('/list')
        expect([list.status, JSON.parse(list.body).code]).toEqual([503, 'STORE_UNAVAILABLE'])
        gate.reset()
        expect((await browser.get('/list')).status).toBe(200)
      })
    }
  })

  test('so it has where nobody looked at the session', async () => {
    const build = (app: App, sessions: Sessions) =>
      app.use(session(sessions)).get('/list', async c => c.json(await sessions.list('alice')))
    await onStage(build, async ({ browser, gate }) => {
      gate.onCall(({ method }) => {
        if (method === 'listByUser') throw new Error('no connection')
      })
      const reply = await browser.get('/list')
      expect([reply.status, reply.headers.get('vary')]).toEqual([503, null])
    })
  })

  test('law 1: what landed before a save failed is on the refusal, or its browser would be left with a dead token', async () => {
    const second = createSessions({
      store: memoryStore(),
      secret: SECRET,
      production: false,
      cookie: { name: 'admin', visitName: 'admin-visit' },
    })
    const build = (app: App, sessions: Sessions) => {
      app.use('/one', session(sessions)).post('/one', async c => {
        await c.var.session.rotate()
        change(c.var.session, { itself: c.var.session })
        return c.text('mine')
      })
      const both = new Hono().use(session(sessions), session(second, { as: 'adminSession' })).post('/', async c => {
        await c.var.adminSession.login('root')
        change(c.var.session, { itself: c.var.session })
        return c.text('mine', 200, { 'Set-Cookie': 'mine=1' })
      })
      app.route('/both', both)
    }
    await onStage(build, async ({ browser }) => {
      const names = (lines: readonly string[]) => lines.map(line => line.slice(0, line.indexOf('=')))
      const one = await browser.post('/one')
      expect([one.status, names(one.headers.getSetCookie())]).toEqual([500, ['sid']])
      const both = await browser.post('/both')
      expect([both.status, names(both.headers.getSetCookie())]).toEqual([500, ['admin']])
    })
  })

  test('an answer of the application that fails itself is replaced by ours', async () => {
    const answer = () => {
      throw new Error('no template')
    }
    const build = (app: App, sessions: Sessions) => app.use(session(sessions, { answer })).get('/', c => c.text('in'))
    await onStage(build, async ({ browser, gate }) => {
      gate.onCall(({ method }) => {
        if (method === 'read') throw new Error('no connection')
      })
      const reply = await browser.get('/')
      expect([reply.status, JSON.parse(reply.body).code]).toEqual([503, 'STORE_UNAVAILABLE'])
    })
  })

  test('an onError that answers an error of ours otherwise has the last word', async () => {
    const build = (app: App, sessions: Sessions) => {
      app.use(session(sessions)).post('/overtaken', async c => {
        const attempt = await sessions.attempt('bob')
        await sessions.revokeUser('bob')
        await c.var.session.login('bob', { attempt })
        return c.text('never')
      })
      app.onError((_error, c) => c.redirect('/login?again', 303))
    }
    await onStage(build, async ({ browser }) => {
      const reply = await browser.post('/overtaken')
      expect([reply.status, reply.headers.get('location')]).toEqual([303, '/login?again'])
    })
  })

  test('an outage in a handler is a 503 also where onError says that all is well', async () => {
    const build = (app: App, sessions: Sessions) => {
      app.use(session(sessions)).post('/logout', async c => {
        await c.var.session.logout()
        return c.json({ ok: true })
      })
      app.onError((_error, c) => c.json({ ok: true }, 200))
    }
    await onStage(build, async ({ browser, gate, sessions }) => {
      gate.onCall(({ method, moment }) => {
        if (method === 'delete' && moment === 'before') throw new Error('no connection')
      })
      const reply = await browser.post('/logout')
      expect([reply.status, JSON.parse(reply.body).code]).toEqual([503, 'STORE_UNAVAILABLE'])
      expect(await sessions.list('alice')).toHaveLength(1)
    })
  })

  test('something thrown that is no error: Hono has no answer to it, and nothing is saved', async () => {
    const build = (app: App, sessions: Sessions) =>
      app.use(session(sessions)).get('/', c => {
        change(c.var.session, { seen: 1 })
        throw 'no error at all'
      })
    await onStage(build, async ({ browser, sessions }) => {
      expect((await browser.get('/')).status).toBe(500)
      expect(await dataOf(sessions)).toEqual({ userId: 'alice' })
    })
  })

  test('a failed save leaves nothing of the handler: no header, no cookie; middleware outside still adds its own', async () => {
    const seen: unknown[] = []
    const build = (app: App, sessions: Sessions) => {
      app.use(async (c, next) => {
        await next()
        seen.push((c.error as { code?: string } | undefined)?.code)
        c.header('X-Outside', '1')
      })
      app.use(session(sessions), cors()).get('/', c => {
        change(c.var.session, { seen: 1 })
        c.header('X-Mine', '1')
        setCookie(c, 'mine', '1')
        return c.text('mine', 201)
      })
    }
    await onStage(build, async ({ browser, gate }) => {
      gate.onCall(({ method, moment }) => {
        if (method === 'replace' && moment === 'before') throw new Error('no connection')
      })
      const { status, headers } = await browser.get('/')
      expect(status).toBe(503)
      expect([headers.get('x-mine'), headers.get('set-cookie'), headers.get('x-outside')]).toEqual([null, null, '1'])
      expect(seen).toEqual(['STORE_UNAVAILABLE'])
      expect(told).toEqual([])
    })
  })

  test("what is wrong with the application is told where Hono's errors are told", async () => {
    const build = (app: App, sessions: Sessions) =>
      app.use(session(sessions)).get('/', c => {
        change(c.var.session, { itself: c.var.session })
        return c.text('mine')
      })
    await onStage(build, async ({ browser }) => {
      expect((await browser.get('/')).status).toBe(500)
      expect(codesTold()).toEqual(['BAD_SESSION_DATA'])
    })
  })

  test('headers that middleware had put on the response before an outage stay on our answer', async () => {
    const build = (app: App, sessions: Sessions) => app.use(cors({ origin: 'https://app.example' }), session(sessions))
    await onStage(build, async ({ browser, gate }) => {
      gate.onCall(({ method }) => {
        if (method === 'read') throw new Error('no connection')
      })
      const reply = await browser.get('/', { origin: 'https://app.example' })
      expect([reply.status, reply.headers.get('access-control-allow-origin')]).toEqual([503, 'https://app.example'])
    })
  })
})

describe('responses of every make', () => {
  test("a Response that cannot be changed, node's own or one of fetch, gets the session's headers all the same", async () => {
    const build = (app: App, sessions: Sessions) => {
      app.get('/upstream', c => c.text('from upstream', 202, { 'X-Up': '1' }))
      app.use(session(sessions)).post('/redirect', async c => {
        await c.var.session.login('alice')
        return Response.redirect('http://example.com/', 303)
      })
      app.get('/proxy', c => {
        void c.var.session.userId
        return fetch(new URL('/upstream', c.req.url))
      })
    }
    await onStage(build, async ({ browser }) => {
      const redirect = await browser.post('/redirect')
      expect([redirect.status, redirect.headers.get('location')]).toEqual([303, 'http://example.com/'])
      expect(redirect.headers.getSetCookie()).toEqual([expect.stringMatching(/^sid=/)])
      const proxied = await browser.get('/proxy')
      expect([proxied.status, proxied.body, proxied.headers.get('x-up')]).toEqual([202, 'from upstream', '1'])
      expect([proxied.headers.get('vary'), proxied.headers.get('cache-control')]).toEqual(['Cookie', 'private, no-store'])
    })
  })

  test("law 5: a Response that was made once and answers everybody never carries one person's token to the next", async () => {
    const once = new Response(null, { status: 204 })
    const build = (app: App, sessions: Sessions) => {
      app.use(session(sessions)).post('/once', async c => {
        await c.var.session.login('alice')
        return once
      })
      app.get('/once', () => once)
    }
    await onStage(build, async ({ browser, ask }) => {
      expect((await browser.post('/once')).headers.getSetCookie()).toHaveLength(1)
      expect((await new Browser(ask).get('/once')).headers.getSetCookie()).toEqual([])
    })
  })

  test("the handler's cookies stay beside ours, through setCookie and on a Response of its own", async () => {
    const build = (app: App, sessions: Sessions) => {
      app.use(session(sessions)).post('/helper', async c => {
        setCookie(c, 'theme', 'dark')
        await c.var.session.login('alice')
        return c.body(null, 204)
      })
      app.post('/raw', async c => {
        await c.var.session.login('alice')
        return new Response('raw', { headers: [['Set-Cookie', 'a=1'], ['Set-Cookie', 'b=2']] }) // biome-ignore format: one line
      })
    }
    await onStage(build, async ({ browser }) => {
      const names = (lines: readonly string[]) => lines.map(line => line.slice(0, line.indexOf('=')))
      expect(names((await browser.post('/helper')).headers.getSetCookie())).toEqual(['theme', 'sid'])
      expect(names((await browser.post('/raw')).headers.getSetCookie())).toEqual(['a', 'b', 'sid'])
    })
  })

  test('put before etag(), as the docs say, it gives its cookie to the 304 too', async () => {
    const build = (app: App, sessions: Sessions) =>
      app.use(session(sessions), etag()).get('/', async c => {
        await c.var.session.rotate()
        return c.text('same')
      })
    await onStage(build, async ({ browser }) => {
      const tag = (await browser.get('/')).headers.get('etag') ?? ''
      const reply = await browser.get('/', { 'if-none-match': tag })
      expect([reply.status, reply.headers.getSetCookie()]).toEqual([304, [expect.stringMatching(/^sid=/)]])
    })
  })

  test('304, HEAD and 404 are answered as without a session, and vary by cookie where it was looked at', async () => {
    const build = (app: App, sessions: Sessions) => {
      app.use(session(sessions)).get('/same', c => c.body(null, c.var.session.userId ? 304 : 200))
      app.get('/text', c => c.text(c.var.session.userId ?? ''))
      app.notFound(c => c.text(`nothing for ${c.get('session').userId}`, 404))
    }
    await onStage(build, async ({ browser, port }) => {
      const cookie = `Cookie: sid=${browser.cookies.sid}\r\nConnection: close\r\n\r\n`
      const raw = await exchangeBytes(port, `GET /same HTTP/1.1\r\nHost: x\r\n${cookie}`)
      expect(raw.text).toMatch(/^HTTP\/1\.1 304 Not Modified\r\n/)
      expect(raw.text).toMatch(/\r\nvary: Cookie\r\n/i)
      expect(raw.text).toMatch(/\r\n\r\n$/)
      const head = await browser.head('/text')
      expect([head.status, head.body, head.headers.get('vary')]).toEqual([200, '', 'Cookie'])
      const missing = await browser.get('/missing')
      expect([missing.status, missing.body]).toEqual([404, 'nothing for alice'])
    })
  })
})

/** Reads a response as it comes. */
async function open(port: number, path: string, browser: Browser, signal?: AbortSignal) {
  const cookie = Object.entries(browser.cookies).map(([name, value]) => `${name}=${value}`)
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    headers: { cookie: cookie.join('; ') },
    signal: signal ?? null,
  })
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  return { response, read: async () => (await reader.read()).value, reader }
}

/** The ways in which a Hono handler answers with a stream that goes on after it has returned. */
const streams: Readonly<Record<string, (app: App, path: string, write: (session: Session) => unknown) => unknown>> = {
  streamSSE: (app, path, write) =>
    app.get(path, c =>
      streamSSE(c, async out => {
        void c.var.session.userId
        await out.writeSSE({ data: 'first' })
        await write(c.var.session)
      }),
    ),
  streamText: (app, path, write) =>
    app.get(path, c =>
      streamText(c, async out => {
        void c.var.session.userId
        await out.write('first')
        await write(c.var.session)
      }),
    ),
  stream: (app, path, write) =>
    app.get(path, c =>
      stream(c, async out => {
        void c.var.session.userId
        await out.write('first')
        await write(c.var.session)
      }),
    ),
  'c.body(stream)': (app, path, write) => app.get(path, c => c.body(writing(c.var.session, write))),
  'an event stream of its own': (app, path, write) =>
    app.get(
      path,
      c => new Response(writing(c.var.session, write), { headers: { 'Content-Type': 'text/event-stream; charset=utf-8' } }),
    ),
  'a Response with Transfer-Encoding': (app, path, write) =>
    app.get(path, c => new Response(writing(c.var.session, write), { headers: { 'Transfer-Encoding': 'chunked' } })),
}

function writing(current: Session, write: (session: Session) => unknown): ReadableStream {
  const parts = [() => 'first', () => write(current)]
  return new ReadableStream({
    async pull(controller) {
      const part = await parts.shift()?.()
      if (typeof part === 'string') controller.enqueue(new TextEncoder().encode(part))
      else controller.close()
    },
  })
}

describe.each(Object.keys(streams))('a stream by %s', name => {
  const building = (write: (session: Session) => unknown) => (app: App, sessions: Sessions) => {
    app.use(session(sessions))
    streams[name]!(app, '/', write)
  }

  test('what is changed while it goes on is saved before it ends, and not before it began', async () => {
    const write = (current: Session) => change(current, { late: 1 })
    await onStage(building(write), async ({ browser, gate, port, sessions }) => {
      const held = gate.hold('replace', 'before')
      const { read } = await open(port, '/', browser)
      expect(await read()).toContain('first')
      await held.arrived
      const end = read()
      expect(await Promise.race([end, delay(40, 'still open')])).toBe('still open')
      held.release()
      expect(await end).toBeUndefined()
      expect(await dataOf(sessions)).toEqual({ userId: 'alice', late: 1 })
    })
  })

  test('a privilege that changes meanwhile is refused: it ends as it stands, and the error is told', async () => {
    const write = (current: Session) => change(current, { role: 'admin' })
    await onStage(building(write), async ({ browser, port, sessions }) => {
      const { read } = await open(port, '/', browser)
      expect(await read()).toContain('first')
      expect(await read()).toBeUndefined()
      expect(codesTold()).toEqual(['RESPONSE_STARTED'])
      expect(await dataOf(sessions)).toEqual({ userId: 'alice' })
    })
  })

  test('where the late save fails it ends as it stands, and the error is told', async () => {
    const write = (current: Session) => change(current, { late: 1 })
    await onStage(building(write), async ({ browser, gate, port }) => {
      gate.onCall(({ method }) => {
        if (method === 'replace') throw new Error('no connection')
      })
      const { read } = await open(port, '/', browser)
      expect(await read()).toContain('first')
      expect(await read()).toBeUndefined()
      expect(codesTold()).toEqual(['STORE_UNAVAILABLE'])
    })
  })
})

describe('streams', () => {
  test('of a session that is changed before the first byte, that byte waits for the save', async () => {
    const build = (app: App, sessions: Sessions) =>
      app.use(session(sessions)).get('/', c => {
        change(c.var.session, { early: 1 })
        return streamText(c, async out => void (await out.write('first')))
      })
    await onStage(build, async ({ browser, gate, port }) => {
      const held = gate.hold('replace', 'after')
      const opened = open(port, '/', browser)
      await held.arrived
      expect(await Promise.race([opened, delay(40, 'not yet')])).toBe('not yet')
      held.release()
      expect(await (await opened).read()).toBe('first')
    })
  })

  test('whose save fails are not sent at all, their writer is told, and what it changes later is not saved', async () => {
    const aborted = Promise.withResolvers<boolean>()
    let connected = () => {}
    const build = (app: App, sessions: Sessions) =>
      app.use(session(sessions)).get('/', c => {
        change(c.var.session, { early: 1 })
        return streamText(c, async out => {
          out.onAbort(() => connected())
          await out.write('first')
          await new Promise<void>(resolve => out.onAbort(resolve))
          change(c.var.session, { later: 1 })
          aborted.resolve(true)
        })
      })
    await onStage(build, async ({ browser, gate, sessions }) => {
      gate.onCall(({ method }) => {
        if (method === 'replace') throw new Error('no connection')
      })
      connected = gate.reset
      const reply = await browser.get('/')
      expect([reply.status, JSON.parse(reply.body).code]).toEqual([503, 'STORE_UNAVAILABLE'])
      expect(await aborted.promise).toBe(true)
      await delay(20)
      expect(await dataOf(sessions)).toEqual({ userId: 'alice' })
    })
  })

  test('that the client leaves are told so, and what was changed until then is saved', async () => {
    const saved = Promise.withResolvers<void>()
    const build = (app: App, sessions: Sessions) => {
      sessions.on('session.late', () => saved.resolve())
      app.use(session(sessions)).get('/', c =>
        streamSSE(c, async out => {
          change(c.var.session, { opened: 1 })
          await out.writeSSE({ data: 'first' })
          change(c.var.session, { late: 1 })
          await new Promise<void>(resolve => out.onAbort(resolve))
        }),
      )
    }
    await onStage(build, async ({ browser, port, sessions }) => {
      const leave = new AbortController()
      const { read } = await open(port, '/', browser, leave.signal)
      expect(await read()).toContain('first')
      leave.abort()
      await saved.promise
      expect(await dataOf(sessions)).toEqual({ userId: 'alice', opened: 1, late: 1 })
    })
  })

  test('first looked at after the first byte, the session is there; a login is refused, a change is saved once it is sent', async () => {
    const refused = Promise.withResolvers<unknown>()
    const saved = Promise.withResolvers<void>()
    const build = (app: App, sessions: Sessions) => {
      sessions.on('session.late', () => saved.resolve())
      app.use(session(sessions)).get('/', c =>
        streamText(c, async out => {
          await out.write('first')
          await delay(20)
          await c.var.session.login('bob').catch(refused.resolve)
          change(c.var.session, { late: 1 })
          await out.write(` for ${c.var.session.userId}`)
        }),
      )
    }
    await onStage(build, async ({ browser, sessions }) => {
      const reply = await browser.get('/')
      expect(reply.body).toBe('first for alice')
      expect(reply.headers.get('vary')).toBeNull()
      expect(await refused.promise).toMatchObject({ code: 'RESPONSE_STARTED' })
      await saved.promise
      expect(await dataOf(sessions)).toEqual({ userId: 'alice', late: 1 })
    })
  })

  test('are read at the pace of their reader', async () => {
    let written = 0
    const chunk = new Uint8Array(65_536)
    const build = (app: App, sessions: Sessions) =>
      app.use(session(sessions)).get('/', c => {
        void c.var.session.userId
        return c.body(
          new ReadableStream({
            pull(controller) {
              written += chunk.length
              if (written > 1e9) controller.close()
              else controller.enqueue(chunk)
            },
          }),
        )
      })
    await onStage(build, async ({ browser, port }) => {
      const incoming = await new Promise<import('node:http').IncomingMessage>(resolve =>
        request({ port, host: '127.0.0.1', headers: { cookie: `sid=${browser.cookies.sid}` } }, resolve).end(),
      )
      incoming.pause()
      await delay(300)
      const first = written
      await delay(200)
      expect(written).toBe(first)
      // What the kernel's buffers on both sides take, and no more.
      expect(written).toBeLessThan(64e6)
      incoming.destroy()
    })
  })
})

describe('what a request costs and tells', () => {
  test('one that never touches its session has its response left alone, streams too', async () => {
    const kept: Record<string, boolean> = {}
    const build = (app: App, sessions: Sessions) => {
      let [made, body]: [Response?, ReadableStream?] = []
      app.use(async (c, next) => {
        await next()
        kept[c.req.path] = c.res === made && c.res.body === body
      })
      app.use(session(sessions))
      const answer = (c: Context) => {
        body = writing({} as Session, () => {})
        made = c.body(body)
        return made
      }
      app.get('/quiet', answer)
      app.get('/loud', c => (c.var.session.userId === 'alice' ? answer(c) : c.notFound()))
    }
    await onStage(build, async ({ browser }) => {
      const quiet = await browser.get('/quiet')
      expect([quiet.headers.get('vary'), quiet.headers.get('cache-control')]).toEqual([null, null])
      expect((await browser.get('/loud')).headers.get('vary')).toBe('Cookie')
      expect(kept).toEqual({ '/quiet': true, '/loud': false })
    })
  })

  const loginAgain = (options: SessionMiddlewareOptions) => (app: App, sessions: Sessions) =>
    app.use('/again', session(sessions, options)).post('/again', async c => {
      await c.var.session.login('bob')
      return c.text('ok')
    })
  const forwarded = { 'x-forwarded-for': '203.0.113.9, 192.0.2.44', 'user-agent': 'Test/1.0' }

  test.each([
    ['the socket', {}, '127.0.0.1'],
    ['one proxy', { trustProxy: 1 }, '192.0.2.44'],
    ['two proxies', { trustProxy: 2 }, '203.0.113.9'],
    ['the application', { ip: () => '198.51.100.1' }, '198.51.100.1'],
  ])('the address is told by %s', async (_by, options, ip) => {
    await onStage(loginAgain(options), async ({ browser, sessions }) => {
      await browser.post('/again', forwarded)
      expect(await sessions.list('bob')).toEqual([expect.objectContaining({ ip, userAgent: 'Test/1.0' })])
    })
  })

  test('what a client wrote into X-Forwarded-For that is no address is not believed', async () => {
    await onStage(loginAgain({ trustProxy: 1 }), async ({ browser, sessions }) => {
      await browser.post('/again', { 'x-forwarded-for': '192.0.2.44, <script>' })
      expect(await sessions.list('bob')).toEqual([expect.objectContaining({ ip: '127.0.0.1' })])
    })
  })

  test('a secure cookie is warned of on plain http, unless a trusted proxy says that the browser speaks TLS', async () => {
    const warned = async (options: SessionMiddlewareOptions, headers: Record<string, string>, url = 'http://localhost/') => {
      const sessions = createSessions({
        store: memoryStore(),
        secret: SECRET,
        production: true,
        allowInProduction: ['memory-store'],
      })
      const messages: string[] = []
      sessions.on('cookie.insecure', ({ message }) => messages.push(message))
      const app = new Hono().use(session(sessions, options)).post('/', async c => {
        await c.var.session.login('alice')
        return c.text('ok')
      })
      await app.request(url, { method: 'POST', headers })
      for (const message of messages) expect(message).toContain(' trust it: session(sessions, { trustProxy: 1 }); ')
      return messages.length
    }
    vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const https = { 'x-forwarded-proto': 'https' }
    expect(await warned({}, {})).toBe(1)
    expect(await warned({}, https)).toBe(1)
    expect(await warned({ trustProxy: 1 }, https)).toBe(0)
    for (const trustProxy of [0, 1]) expect(await warned({ trustProxy }, {}, 'https://localhost/')).toBe(0)
  })

  test('without a server, as app.request() has it in tests, the address is unknown and all else works', async () => {
    const sessions = createSessions({ store: memoryStore(), secret: SECRET, production: false })
    const app = new Hono().use(session(sessions)).get('/me', c => c.json({ userId: c.var.session.userId ?? null }))
    const cookie = await sessions.issue('alice')
    expect(await (await app.request('/me', { headers: { cookie } })).json()).toEqual({ userId: 'alice' })
    expect(await (await app.request('/me')).json()).toEqual({ userId: null })
  })

  test('a trustProxy that is no number of proxies is refused at start-up', () => {
    const sessions = createSessions({ store: memoryStore(), secret: SECRET, production: false })
    for (const trustProxy of [-1, 1.5, Number.NaN, 'loopback' as never, true as never]) {
      expect(() => session(sessions, { trustProxy })).toThrow(expect.objectContaining({ code: 'BAD_OPTION' }))
    }
  })
})
