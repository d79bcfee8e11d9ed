import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type express5 from 'express'
import type { ErrorRequestHandler, RequestHandler, Response } from 'express'
import { describe, expect, test } from 'vitest'
import { createSessions, requireAuth, requireFresh, requireRole, session } from '../../src/adapters/express.ts'
import type { Session } from '../../src/core/session.ts'
import type { Sessions } from '../../src/core/sessions.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { Browser } from '../../src/testing/browser.ts'
import { type AdapterHarness, adapterLaws, askOver, type Gate, gatedStore, type Site } from '../../src/testing/index.ts'
import { closed, exchangeBytes, listening, unchunked } from '../http/wire.ts'
import { spaces } from './spaces.ts'

type Express = typeof express5

/** The two majors agree on all that is used here, and their types on nearly all. */
async function load(name: 'express' | 'express4'): Promise<Express> {
  const module: { default: Express } = await import(name)
  return module.default
}

const versions = { 'Express 5': await load('express'), 'Express 4': await load('express4') }

function serveWith(express: Express): AdapterHarness['serve'] {
  return async ({ sessions, answer, role }: Site) => {
    const app = express()
    app.use(session(sessions))
    app.use('/members', requireAuth())
    app.use('/pages', requireAuth({ loginPath: '/login' }))
    app.use('/admins', requireRole('admin', 'owner'))
    app.use('/staff', requireRole('admin', { role }))
    app.use('/fresh', requireFresh('10m'))
    app.use((req, res, next) => {
      const { method, path } = req
      const asked = { method, path, get session() { return req.session } } // biome-ignore format: one line
      Promise.resolve()
        .then(() => answer(asked))
        .then(({ status = 200, headers = {}, body = '' }) =>
          res
            .status(status)
            .set(headers as Record<string, string>)
            .end(body),
        )
        .catch(next)
    })
    const server = createServer(app)
    return { ask: askOver(`http://127.0.0.1:${await listening(server)}`), close: () => closed(server) }
  }
}

type App = ReturnType<Express>

interface Stage {
  readonly sessions: Sessions
  readonly gate: Gate
  readonly browser: Browser
  readonly port: number
}

/** A signed-in browser before an app of the test's own making, which starts with the session middleware. */
async function onStage(
  express: Express,
  build: (app: App, stage: Omit<Stage, 'browser' | 'port'>) => void,
  act: (stage: Stage) => unknown,
) {
  const gate = gatedStore(memoryStore())
  const sessions = createSessions({ store: gate.store, secret: SECRET, production: false })
  const app = express()
  app.set('env', 'test')
  app.post('/login', session(sessions), async (req, res) => {
    await req.session.login('alice')
    res.end()
  })
  build(app, { sessions, gate })
  const server = createServer(app)
  const port = await listening(server)
  try {
    const browser = new Browser(askOver(`http://127.0.0.1:${port}`))
    await browser.post('/login')
    await act({ sessions, gate, browser, port })
  } finally {
    server.closeAllConnections()
    await closed(server)
  }
}

const SECRET = 'thirty-two bytes of text at least, for tests'

/** Sets keys of the data that the type does not know. */
function change(current: Session, data: Readonly<Record<string, unknown>>): void {
  Object.assign(current, data)
}

/** An error handler that says which error it met, and whether it sees the session. */
const showError: ErrorRequestHandler = (error, req, res, _next) => {
  if (res.headersSent) return
  res.status(500).json({ code: error.code, message: error.message, userId: req.session?.userId ?? null })
}

for (const [version, express] of Object.entries(versions)) {
  for (const [name, open] of Object.entries(spaces)) {
    describe(`${version} on ${name}`, () => {
      for (const law of adapterLaws({ serve: serveWith(express), open })) test(law.name, law.run)
    })
  }

  describe(`${version}: where the session is seen`, () => {
    test("in a mounted sub-app, in a router, and in the parent's error handler behind the sub-app", async () => {
      const build = (app: App, { sessions }: { sessions: Sessions }) => {
        const sub = express()
        sub.get('/me', (req, res) => res.json(req.session))
        sub.get('/broken', () => {
          throw new Error('broken')
        })
        const router = express.Router().get('/me', (req, res) => res.json(req.session))
        app.use(session(sessions)).use('/sub', sub).use('/router', router).use(showError)
      }
      await onStage(express, build, async ({ browser }) => {
        expect((await browser.get('/sub/me')).body).toBe('{"userId":"alice"}')
        expect((await browser.get('/router/me')).body).toBe('{"userId":"alice"}')
        expect(JSON.parse((await browser.get('/sub/broken')).body)).toEqual({ message: 'broken', userId: 'alice' })
      })
    })

    test('in a sub-app that mounts the middleware itself, and in the error handler of its parent, which does not', async () => {
      const build = (app: App, { sessions }: { sessions: Sessions }) => {
        const sub = express().use(session(sessions))
        sub.get('/broken', () => {
          throw new Error('broken')
        })
        app.use('/sub', sub).use(showError)
      }
      await onStage(express, build, async ({ browser }) => {
        expect(JSON.parse((await browser.get('/sub/broken')).body)).toEqual({ message: 'broken', userId: 'alice' })
      })
    })

    test('a guard in a sub-app leads back to the whole path', async () => {
      const build = (app: App, { sessions }: { sessions: Sessions }) => {
        app.use(session(sessions)).use('/sub', express().use('/page', requireAuth({ loginPath: '/login' })))
      }
      await onStage(express, build, async ({ browser }) => {
        const reply = await new Browser(browser.ask).get('/sub/page?tab=1', { accept: 'text/html' })
        expect(reply.headers.get('location')).toBe(`/login?returnTo=${encodeURIComponent('/sub/page?tab=1')}`)
      })
    })

    test('mounted twice, the same engine reads once', async () => {
      const build = (app: App, { sessions }: { sessions: Sessions }) => {
        app.use(session(sessions), session(sessions)).use(express().use(session(sessions)))
        app.get('/me', (req, res) => res.json(req.session))
      }
      await onStage(express, build, async ({ browser, gate }) => {
        gate.reset()
        expect((await browser.get('/me')).body).toBe('{"userId":"alice"}')
        expect(gate.calls.read).toBe(1)
      })
    })

    test('two engines in one app have a property each, and both are saved', async () => {
      const second = createSessions({
        store: memoryStore(),
        secret: SECRET,
        production: false,
        cookie: { name: 'admin', visitName: 'admin-visit' },
      })
      const build = (app: App, { sessions }: { sessions: Sessions }) => {
        app.use(session(sessions), session(second, { as: 'adminSession' }))
        app.get('/both', async (req, res) => {
          const { adminSession } = req as typeof req & { adminSession: Session }
          await adminSession.login('root')
          change(req.session, { seen: 1 })
          res.json([req.session, adminSession])
        })
        app.get('/admin', requireAuth({ as: 'adminSession' }), (_req, res) => res.end('admin'))
      }
      await onStage(express, build, async ({ browser, sessions }) => {
        expect((await browser.get('/admin')).status).toBe(401)
        expect((await browser.get('/both')).body).toBe('[{"userId":"alice","seen":1},{"userId":"root"}]')
        expect(Object.keys(browser.cookies)).toEqual(['sid', 'admin'])
        expect((await browser.get('/admin')).body).toBe('admin')
        expect(await sessions.list('alice')).toHaveLength(1)
        expect(await second.list('root')).toHaveLength(1)
      })
    })

    test('two engines of one name, or a property that another middleware has set, are an error that says what to do', async () => {
      const second = createSessions({ store: memoryStore(), secret: SECRET, production: false })
      const build = (app: App, { sessions }: { sessions: Sessions }) => {
        app.use('/two', session(sessions), session(second))
        const foreign: RequestHandler = (req, _res, next) => {
          Object.assign(req, { session: { foreign: true } })
          next()
        }
        app.use('/foreign', foreign, session(sessions)).use(showError)
      }
      await onStage(express, build, async ({ browser }) => {
        for (const path of ['/two', '/foreign']) {
          const { code, message } = JSON.parse((await browser.get(path)).body)
          expect(code).toBe('NO_SESSION')
          expect(message).toMatch(/as: 'adminSession'/)
        }
      })
    })

    // Guard: in http/visit.ts `refuseBesideOthers`; without it a sign-in to the one silently replaces that to the other.
    test('two engines that set cookies of one name, and one engine under two names, are an error that says what to do', async () => {
      const options = { store: memoryStore(), secret: SECRET, production: false }
      const clashes: Record<string, Sessions> = {
        'the same': createSessions(options),
        "the other's visit": createSessions({ ...options, cookie: { name: 'visit', visitName: 'staff-visit' } }),
      }
      const apart = createSessions({ ...options, cookie: { path: '/staff' } })
      const build = (app: App, { sessions }: { sessions: Sessions }) => {
        const staff = { as: 'staffSession' }
        for (const [i, second] of Object.values(clashes).entries()) app.use(`/${i}`, session(sessions), session(second, staff))
        app.use('/itself', session(sessions), express().use(session(sessions, staff)))
        app.use('/staff', session(sessions), session(apart, staff), (_req, res) => void res.end('apart'))
        app.use(showError)
      }
      await onStage(express, build, async ({ browser }) => {
        for (const i of Object.keys(clashes).keys()) {
          const { code, message } = JSON.parse((await browser.get(`/${i}`)).body)
          expect(code).toBe('BAD_OPTION')
          expect(message).toMatch(i === 0 ? /'sid'.*cookie: \{ name:/ : /'visit'.*cookie: \{ name:/)
        }
        const { code, message } = JSON.parse((await browser.get('/itself')).body)
        expect([code, message]).toEqual(['NO_SESSION', expect.stringContaining("mounted already, as 'session'")])
        expect((await browser.get('/staff')).body).toBe('apart')
      })
    })

    test('to assign to req.session is refused, and told how to sign out; elsewhere it is an ordinary property', async () => {
      const build = (app: App, { sessions }: { sessions: Sessions }) => {
        app.get('/elsewhere', (req, res) => {
          Object.assign(req, { session: { mine: 1 } })
          res.json(req.session)
        })
        app.use(session(sessions))
        app.get('/null', req => void Object.assign(req, { session: null }))
        app.get('/object', req => void Object.assign(req, { session: { userId: 'mallory' } }))
        app.get('/itself', (req, res) => res.json(Object.assign(req, { session: req.session }).session))
        app.use(showError)
      }
      await onStage(express, build, async ({ browser }) => {
        expect((await browser.get('/elsewhere')).body).toBe('{"mine":1}')
        expect((await browser.get('/null')).body).toMatch(/NO_SESSION.*await req\.session\.logout\(\)/)
        expect((await browser.get('/object')).body).toMatch(/NO_SESSION.*Set its properties/)
        expect((await browser.get('/itself')).body).toBe('{"userId":"alice"}')
      })
    })

    test('without the middleware req.session is undefined, and a guard says what is missing', async () => {
      const build = (app: App) => {
        app.get('/none', (req, res) => res.json({ session: typeof req.session }))
        app.get('/guarded', requireAuth()).use(showError)
      }
      await onStage(express, build, async ({ browser }) => {
        expect((await browser.get('/none')).body).toBe('{"session":"undefined"}')
        expect((await browser.get('/guarded')).body).toMatch(/NO_SESSION.*session\(sessions\)/)
      })
    })
  })

  describe(`${version}: one answer`, () => {
    const failing =
      (path: string, answer: (res: Response) => unknown) =>
      (app: App, { sessions }: { sessions: Sessions }) => {
        app.get(`/bare${path}`, (_req, res) => {
          answer(res)
          throw new Error('after the answer')
        })
        app.get(`/held${path}`, session(sessions), (req, res) => {
          change(req.session, { seen: Math.random() })
          answer(res)
          throw new Error('after the answer')
        })
      }
    const answers: Record<string, (res: Response) => unknown> = {
      '/json': res => res.json({ text: 'x'.repeat(2000) }),
      '/redirect': res => res.redirect('/elsewhere'),
      '/status': res => res.sendStatus(201),
    }
    for (const [path, answer] of Object.entries(answers)) {
      test(`a handler that throws after ${path} gives the client the same bytes as without a session`, async () => {
        await onStage(express, failing(path, answer), async ({ browser, port }) => {
          const cookie = `sid=${browser.cookies.sid}`
          const ask = (kind: string) =>
            exchangeBytes(port, `GET /${kind}${path} HTTP/1.1\r\nHost: x\r\nCookie: ${cookie}\r\n\r\n`)
          const [bare, held] = [await ask('bare'), await ask('held')]
          expect(
            held.text
              .replace(/Vary: Accept, Cookie/, 'Vary: Accept')
              .replace(/\r\n(?:Vary: Cookie|Cache-Control: private, no-store)(?=\r\n)/g, ''),
          ).toBe(bare.text)
          expect(bare.text).toMatch(/^HTTP\/1.1 [23]/)
        })
      })
    }

    test("an application's error handler that does not look at headersSent writes no second answer", async () => {
      const careless: ErrorRequestHandler = (_error, _req, res, _next) => void res.status(500).json({ error: 'second' })
      const build = (app: App, { sessions }: { sessions: Sessions }) => {
        app.use(session(sessions))
        app.get('/', (req, res) => {
          change(req.session, { seen: 1 })
          res.status(201).json({ answer: 'first' })
          throw new Error('after the answer')
        })
        app.use(careless)
      }
      await onStage(express, build, async ({ browser, sessions }) => {
        const reply = await browser.get('/')
        expect([reply.status, reply.body]).toEqual([201, '{"answer":"first"}'])
        expect((await browser.get('/')).status).toBe(201)
        const [info] = await sessions.list('alice')
        expect((await sessions.get(info?.id ?? ''))?.data).toEqual({ userId: 'alice', seen: 1 })
      })
    })

    // Guard: `holdEarly` in http/hold.ts. JavaScript takes `end` off the response before it looks at the arguments.
    const early: Record<string, (res: Response, page: () => Promise<string>) => Promise<void>> = {
      end: async (res, page) => void res.end(await page()),
      write: async (res, page) => {
        res.write(await page())
        res.end()
      },
    }
    const wraps: Record<string, RequestHandler> = {
      'nobody wraps': (_req, _res, next) => next(),
      'somebody wraps writeHead': (_req, res, next) => {
        const writeHead = res.writeHead as (...args: unknown[]) => Response
        res.writeHead = (...args: unknown[]) => Reflect.apply(writeHead, res.setHeader('X-Wrapped', 'yes'), args)
        next()
      },
    }
    for (const [method, answer] of Object.entries(early)) {
      for (const [wrapping, wrap] of Object.entries(wraps)) {
        test(`a ${method} that was taken before the session was touched waits for the save all the same, where ${wrapping}`, async () => {
          const build = (app: App, { sessions }: { sessions: Sessions }) => {
            app.use(wrap, session(sessions))
            app.get('/', (req, res, next) => {
              const page = async () => {
                await req.session.rotate()
                change(req.session, { seen: 1 })
                return 'the page'
              }
              answer(res, page).catch(next)
            })
          }
          await onStage(express, build, async ({ browser, sessions }) => {
            const before = browser.cookies.sid
            expect(await browser.get('/')).toMatchObject({ status: 200, body: 'the page' })
            expect(browser.cookies.sid).not.toBe(before)
            const [info] = await sessions.list('alice')
            expect((await sessions.get(info?.id ?? ''))?.data).toEqual({ userId: 'alice', seen: 1 })
            expect((await browser.get('/')).status).toBe(200)
          })
        })
      }
    }

    test('a file sent by Express waits for the save, and arrives whole', async () => {
      const build = (app: App, { sessions }: { sessions: Sessions }) => {
        app.use(session(sessions))
        app.get('/', (req, res) => {
          change(req.session, { seen: 1 })
          res.sendFile(import.meta.filename)
        })
      }
      await onStage(express, build, async ({ browser }) => {
        expect((await browser.get('/')).body).toBe(await readFile(import.meta.filename, 'utf8'))
      })
    })

    test('an identity that changes after the first byte reaches the error handlers', async () => {
      const seen = Promise.withResolvers<unknown>()
      const build = (app: App, { sessions }: { sessions: Sessions }) => {
        app.use(session(sessions))
        app.get('/', (req, res) => {
          res.write('first')
          Object.assign(req.session, { userId: 'bob' })
          res.end('last')
        })
        app.use(((error, _req, _res, _next) => seen.resolve(error.name)) satisfies ErrorRequestHandler)
      }
      await onStage(express, build, async ({ browser }) => {
        expect((await browser.get('/')).body).toBe('firstlast')
        expect(await seen.promise).toBe('CoatcheckError')
      })
    })

    test('a mistake that is found at the first byte is answered with 500, and reaches the error handlers, whose answer does not', async () => {
      const seen: unknown[] = []
      const build = (app: App, { sessions }: { sessions: Sessions }) => {
        app.use(session(sessions))
        app.get('/', (req, res) => {
          Object.assign(req.session, { userId: 'bob' })
          res.json({ secret: 1 })
        })
        const careless: ErrorRequestHandler = (error, _req, res, _next) => {
          seen.push(error.code)
          res.status(500).json({ error: 'second' })
        }
        app.use(careless)
      }
      await onStage(express, build, async ({ browser }) => {
        const reply = await browser.get('/')
        expect([reply.status, reply.body]).toEqual([500, '{"error":"Internal server error","code":"IDENTITY_CHANGED"}'])
        expect(seen).toEqual(['IDENTITY_CHANGED'])
      })
    })

    const mistakes: Record<string, (current: Session) => unknown> = {
      'an identity that changes': current => Object.assign(current, { userId: 'bob' }),
      'data that cannot be stored': current => Object.assign(current, { itself: current }),
    }
    for (const [what, make] of Object.entries(mistakes)) {
      test(`${what} after the first byte loses nothing of the answer to the last error handler, which ends the connection`, async () => {
        const build = (app: App, { sessions }: { sessions: Sessions }) => {
          app.get('/', session(sessions), (req, res) => {
            res.write('first')
            make(req.session)
            res.end('last')
          })
        }
        await onStage(express, build, async ({ browser, port }) => {
          const { text } = await exchangeBytes(port, `GET / HTTP/1.1\r\nHost: x\r\nCookie: sid=${browser.cookies.sid}\r\n\r\n`)
          expect(unchunked(text)).toMatch(/firstlast\(end\)\r\n\r\n$/)
        })
      })
    }

    test('a store that answers nonsense is a 500 without details, and reaches the error handlers', async () => {
      const seen = Promise.withResolvers<unknown>()
      const nonsense = createSessions({
        store: Object.assign(memoryStore(), { read: () => 1 as never }),
        secret: SECRET,
        production: false,
        cookie: { name: 'sid' },
      })
      const build = (app: App) => {
        app.use(session(nonsense))
        app.use(((error, _req, _res, _next) => seen.resolve(error)) satisfies ErrorRequestHandler)
      }
      await onStage(express, build, async ({ browser }) => {
        const reply = await browser.get('/')
        expect([reply.status, reply.body]).toEqual([500, '{"error":"Internal server error"}'])
        expect(await seen.promise).toBeInstanceOf(TypeError)
      })
    })

    test('headers that the application had set before an outage stay on our answer', async () => {
      const build = (app: App, { sessions }: { sessions: Sessions }) => {
        app.use((_req, res, next) => void next(res.set('X-Frame-Options', 'DENY') && undefined))
        app.use(session(sessions))
      }
      await onStage(express, build, async ({ browser, gate }) => {
        gate.failNext('read', 'before', new Error('no connection'))
        gate.failNext('read', 'before', new Error('no connection'))
        const reply = await browser.get('/')
        expect([reply.status, reply.headers.get('x-frame-options')]).toEqual([503, 'DENY'])
      })
    })
  })

  describe(`${version}: what a request costs and tells`, () => {
    test('a request that never touches its session has its response left alone', async () => {
      const build = (app: App, { sessions }: { sessions: Sessions }) => {
        app.use(session(sessions))
        app.get('/own', (_req, res) => res.json(['end', 'write', 'writeHead'].filter(name => Object.hasOwn(res, name))))
      }
      await onStage(express, build, async ({ browser }) => {
        expect((await browser.get('/own')).body).toBe('[]')
      })
    })

    test("a secure cookie on plain http is warned of with Express' own setting", async () => {
      const strict = createSessions({
        store: memoryStore(),
        secret: SECRET,
        production: true,
        allowInProduction: ['memory-store'],
      })
      const messages: string[] = []
      strict.on('cookie.insecure', ({ message }) => messages.push(message))
      const build = (app: App) =>
        app.post('/again', session(strict), async (req, res) => {
          await req.session.login('bob')
          res.end()
        })
      await onStage(express, build, async ({ browser }) => {
        for (let i = 0; i < 2; i++) await browser.post('/again')
        expect(messages).toEqual([expect.stringContaining(" trust it: app.set('trust proxy', 1); ")])
      })
    })

    test("address and scheme follow Express' trust proxy", async () => {
      const build = (app: App, { sessions }: { sessions: Sessions }) => {
        app.set('trust proxy', 1)
        app.use(session(sessions)).post('/again', async (req, res) => {
          await req.session.login('bob')
          res.json(sessions.requestOf(req.session).ip)
        })
      }
      await onStage(express, build, async ({ browser, sessions }) => {
        const headers = { 'x-forwarded-for': '203.0.113.9, 192.0.2.44', 'user-agent': 'Test/1.0' }
        expect((await browser.post('/again', headers)).body).toBe('"192.0.2.44"')
        expect(await sessions.list('bob')).toEqual([expect.objectContaining({ ip: '192.0.2.44', userAgent: 'Test/1.0' })])
      })
    })
  })
}
