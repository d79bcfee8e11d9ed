import { once } from 'node:events'
import { createServer } from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import { Server as TlsServer } from 'node:tls'
import { describe, expect, test } from 'vitest'
import {
  createSessions,
  type Middleware,
  type Next,
  type NodeRequest,
  type NodeServerResponse,
  requireAuth,
  requireFresh,
  requireRole,
  session,
  withSession,
} from '../../src/adapters/node.ts'
import type { Session } from '../../src/core/session.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { Browser } from '../../src/testing/browser.ts'
import {
  type AdapterHarness,
  adapterLaws,
  askOver,
  gatedStore,
  type Reply,
  type Served,
  type Site,
} from '../../src/testing/index.ts'
import { closed, type Listener as Listens, listening } from '../http/wire.ts'
import { certificate } from './certificate.ts'
import { spaces } from './spaces.ts'

type Listener = (request: NodeRequest, response: NodeServerResponse) => void

/** What connect does, in small: one middleware after the other, those with a path only there. */
function connected(layers: readonly (readonly [path: string, layer: Middleware])[], last: Listener): Listener {
  return (request, response) => {
    const path = pathOf(request)
    const rest = layers.filter(([prefix]) => prefix === '/' || prefix === path)
    const next: Next = error => {
      if (error !== undefined) throw error
      const [, layer] = rest.shift() ?? []
      return layer === undefined ? last(request, response) : layer(request, response, next)
    }
    next()
  }
}

function pathOf(request: NodeRequest): string {
  return (request.url ?? '').split('?', 1)[0] ?? ''
}

function listenerOf({ sessions, answer, role }: Site): Listener {
  const layers = [
    ['/', session(sessions)],
    ['/members', requireAuth()],
    ['/pages', requireAuth({ loginPath: '/login' })],
    ['/admins', requireRole('admin', 'owner')],
    ['/staff', requireRole('admin', { role })],
    ['/fresh', requireFresh('10m')],
  ] as const
  return connected(layers, (request, response) => void respond(request, response, answer))
}

async function respond(request: NodeRequest, response: NodeServerResponse, answer: Site['answer']): Promise<void> {
  const asked = {
    method: request.method ?? '',
    path: pathOf(request),
    get session() {
      return (request as NodeRequest & { session: Session }).session
    },
  }
  try {
    const { status = 200, headers = {}, body = '' } = await answer(asked)
    response.statusCode = status
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    response.end(body)
  } catch {
    response.statusCode = 500
    response.end()
  }
}

/** HTTP/2 requests, each on a connection of its own. */
function askOverHttp2(url: string): Served['ask'] {
  return (path, { method, headers }) =>
    new Promise<Reply>((resolve, reject) => {
      const client = http2.connect(url, { ca: certificate.cert })
      client.on('error', reject)
      const stream = client.request({ ...headers, ':method': method, ':path': path })
      const reply = { status: 0, headers: new Headers(), body: '' }
      stream.on('response', head => {
        reply.status = Number(head[':status'])
        for (const [name, value] of Object.entries(head)) {
          if (!name.startsWith(':')) for (const each of [value].flat()) reply.headers.append(name, String(each))
        }
      })
      stream.setEncoding('utf8').on('data', part => {
        reply.body += part
      })
      stream.on('error', reject)
      stream.on('close', () => client.close(() => resolve(reply)))
      stream.end()
    })
}

/** HTTPS requests of HTTP/1.1, each on a connection of its own: `fetch` takes no certificate of ours. */
function askOverHttps(port: number): Served['ask'] {
  return (path, { method, headers }) =>
    new Promise<Reply>((resolve, reject) => {
      const options = { port, path, method, headers, ca: certificate.cert, agent: false }
      const asked = https.request({ host: 'localhost', ...options }, response => {
        const reply = { status: response.statusCode ?? 0, headers: new Headers(), body: '' }
        const lines = response.rawHeaders
        for (let at = 0; at < lines.length; at += 2) reply.headers.append(lines[at] ?? '', lines[at + 1] ?? '')
        response.setEncoding('utf8').on('data', part => {
          reply.body += part
        })
        response.on('error', reject).on('end', () => resolve(reply))
      })
      asked.on('error', reject).end()
    })
}

const protocols: Readonly<Record<string, AdapterHarness['serve']>> = {
  async http(site) {
    const server = createServer(listenerOf(site))
    return { ask: askOver(`http://127.0.0.1:${await listening(server)}`), close: () => closed(server) }
  },
  async https(site) {
    const server = https.createServer(certificate, listenerOf(site))
    return { ask: askOverHttps(await listening(server)), close: () => closed(server) }
  },
  async 'http2, over TLS'(site) {
    const server = http2.createSecureServer(certificate, listenerOf(site))
    return { ask: askOverHttp2(`https://localhost:${await listening(server)}`), close: () => closed(server) }
  },
}

for (const [protocol, serve] of Object.entries(protocols)) {
  for (const [name, open] of Object.entries(spaces)) {
    describe(`node:${protocol}, on ${name}`, () => {
      for (const law of adapterLaws({ serve, open })) test(law.name, law.run)
    })
  }
}

const SECRET = 'thirty-two bytes of text at least, for tests'

async function during(server: Listens, act: (port: number) => Promise<void>): Promise<void> {
  const port = await listening(server)
  try {
    await act(port)
  } finally {
    await closed(server)
  }
}

describe('withSession: a server without a framework', () => {
  test('the handler finds the session, and what it returns can be awaited', async () => {
    const sessions = createSessions({ store: memoryStore(), secret: SECRET, production: false })
    const returned: unknown[] = []
    const listener = withSession(sessions, async (req, res) => {
      if (req.url === '/login') await req.session.login('alice')
      res.end(req.session.userId ?? 'nobody')
      return 'done'
    })
    const server = createServer(async (req, res) => void returned.push(await listener(req, res)))
    await during(server, async port => {
      const browser = new Browser(askOver(`http://127.0.0.1:${port}`))
      await browser.post('/login')
      expect((await browser.get('/')).body).toBe('alice')
      expect(returned).toEqual(['done', 'done'])
    })
  })

  test('an outage is answered, and the handler is not called', async () => {
    const gate = gatedStore(memoryStore())
    const sessions = createSessions({ store: gate.store, secret: SECRET, production: false })
    const cookie = await sessions.issue('alice')
    let handled = 0
    const server = createServer(withSession(sessions, (_req, res) => res.end(`${handled++}`)))
    await during(server, async port => {
      gate.onCall(() => {
        throw new Error('no connection')
      })
      const reply = await new Browser(askOver(`http://127.0.0.1:${port}`)).get('/', { cookie })
      expect([reply.status, handled]).toEqual([503, 0])
    })
  })

  test('an identity that changes after the first byte is a process warning', async () => {
    const sessions = createSessions({ store: memoryStore(), secret: SECRET, production: false })
    const cookie = await sessions.issue('alice')
    const server = createServer(
      withSession(sessions, (req, res) => {
        res.write('first')
        Object.assign(req.session, { userId: 'bob' })
        res.end('last')
      }),
    )
    const warned = once(process, 'warning')
    await during(server, async port => {
      expect((await new Browser(askOver(`http://127.0.0.1:${port}`)).get('/', { cookie })).body).toBe('firstlast')
      expect(await warned).toEqual([expect.objectContaining({ name: 'CoatcheckError' })])
    })
  })
})

describe('two engines on one server', () => {
  const options = { store: memoryStore(), secret: SECRET, production: false }
  const sessions = createSessions(options)

  /** What the second middleware says. */
  async function said(second: Middleware): Promise<unknown> {
    const layers = [session(sessions), second]
    const server = createServer((request, response) => {
      const next: Next = () => layers.shift()?.(request, response, next) ?? response.end('both')
      try {
        next()
      } catch (error) {
        response.end((error as { code: string }).code)
      }
    })
    let body = ''
    await during(server, async port => {
      body = (await askOver(`http://127.0.0.1:${port}`)('/', { method: 'GET', headers: {} })).body
    })
    return body
  }

  // Guard: in http/visit.ts `refuseBesideOthers`.
  test('are refused with cookies of one name, and one engine under two names; with a name each they work', async () => {
    const as = 'staffSession'
    expect(await said(session(createSessions(options), { as }))).toBe('BAD_OPTION')
    expect(await said(session(sessions, { as }))).toBe('NO_SESSION')
    expect(await said(session(sessions))).toBe('both')
    const cookie = { name: 'staff', visitName: 'staff-visit' }
    expect(await said(session(createSessions({ ...options, cookie }), { as }))).toBe('both')
  })
})

// Guards: in http/hold.ts `finishAndTell(one, fail)`, and in request-exchange.ts `this.#failure !== undefined` of `finish`.
test('law 6: a logout that fails after the first byte, and that nobody awaited, is told, and costs another engine nothing', async () => {
  const [gate, staffStore] = [gatedStore(memoryStore()), memoryStore()]
  const sessions = createSessions({ store: gate.store, secret: SECRET, production: false })
  const cookie = { name: 'staff', visitName: 'staff-visit' }
  const staff = createSessions({ store: staffStore, secret: SECRET, production: false, cookie })
  const cookies = `${await sessions.issue('alice')}; ${await staff.issue('root')}`
  const enter = session(staff, { as: 'staffSession' })
  const server = createServer(
    withSession(sessions, (request, response) => {
      const handle = () => {
        response.write('first')
        Object.assign((request as { staffSession?: Session }).staffSession ?? {}, { note: 1 })
        request.session.logout().catch(() => response.end('last'))
      }
      void enter(request, response, handle)
    }),
  )
  gate.onCall(({ method }) => {
    if (method === 'delete') throw new Error('no connection')
  })
  const warned = once(process, 'warning')
  await during(server, async port => {
    const reply = await askOver(`http://127.0.0.1:${port}`)('/', { method: 'GET', headers: { cookie: cookies } })
    expect(reply.body).toBe('firstlast')
    expect(await warned).toEqual([expect.objectContaining({ code: 'STORE_UNAVAILABLE' })])
  })
  expect((await staff.read(cookies))?.data).toEqual({ userId: 'root', note: 1 })
  expect((await sessions.read(cookies))?.userId).toBe('alice')
})

describe('somebody else answers while the store is asked', () => {
  const servers: Readonly<Record<string, (listener: Listener) => Listens>> = {
    http: listener => createServer(listener),
    http2: listener => http2.createSecureServer(certificate, listener),
  }
  for (const [protocol, serve] of Object.entries(servers)) {
    // Guard: in http/visit.ts `!this.#response.headersSent`; without it the second answer is an error in nobody's hands.
    test(`over ${protocol}: a time limit has the last word, and a late failure of the store nothing to say`, async () => {
      const gate = gatedStore(memoryStore())
      const sessions = createSessions({ store: gate.store, secret: SECRET, production: false })
      const cookie = await sessions.issue('alice')
      const enter = session(sessions)
      const trouble: unknown[] = []
      const settled = Promise.withResolvers<void>()
      const server = serve((request, response) => {
        Promise.resolve(enter(request, response, () => trouble.push('handled'))).then(
          () => settled.resolve(),
          error => settled.resolve(void trouble.push(error)),
        )
        response.statusCode = 504
        response.end('too late')
      })
      const held = gate.hold('read')
      await during(server, async port => {
        const ask = protocol === 'http' ? askOver(`http://127.0.0.1:${port}`) : askOverHttp2(`https://localhost:${port}`)
        const reply = await ask('/', { method: 'GET', headers: { cookie } })
        held.fail(new Error('no connection'))
        await settled.promise
        expect([reply.status, reply.body, trouble]).toEqual([504, 'too late', []])
      })
    })
  }
})

describe('a next of the own making', () => {
  const mistake = async (next: (serve: () => void) => Next) => {
    const sessions = createSessions({ store: memoryStore(), secret: SECRET, production: false })
    const cookie = await sessions.issue('alice')
    const enter = session(sessions)
    let handled = 0
    const server = createServer((req, res) => {
      const serve = () => {
        handled++
        Object.assign((req as typeof req & { session: Session }).session, { userId: 'bob' })
        res.end('secret')
      }
      enter(req, res, next(serve))
    })
    const warned = once(process, 'warning')
    await during(server, async port => {
      const reply = await new Browser(askOver(`http://127.0.0.1:${port}`)).get('/', { cookie })
      expect(reply.body).toBe('{"error":"Internal server error","code":"IDENTITY_CHANGED"}')
      expect(await warned).toEqual([expect.objectContaining({ code: 'IDENTITY_CHANGED' })])
    })
    expect(handled).toBe(1)
  }

  test('that takes no error is not called a second time with one: its handler would run twice', async () => {
    await mistake(serve => () => serve())
  })

  test('that throws the error does not end the process', async () => {
    await mistake(serve => error => {
      if (error !== undefined) throw error
      serve()
    })
  })
})

describe('what a session is told of its request', () => {
  /** The address of a session that such a request begins, and whether a secure cookie could reach the browser. */
  async function facts(server: (listener: Listener) => Listens, headers: Record<string, string>, trustProxy?: number) {
    const sessions = createSessions({
      store: memoryStore(),
      secret: SECRET,
      production: true,
      allowInProduction: ['memory-store'],
    })
    let secure = true
    sessions.on('cookie.insecure', ({ message }) => {
      secure = !message.includes(' trust it: session(sessions, { trustProxy: 1 }); ')
    })
    const enter = session(sessions, trustProxy === undefined ? {} : { trustProxy })
    const listener: Listener = (req, res) =>
      void enter(req, res, async () => {
        const current = (req as NodeRequest & { session: Session }).session
        await current.login('alice')
        res.end(sessions.requestOf(current).ip ?? '')
      })
    let ip = ''
    const listens = server(listener)
    await during(listens, async port => {
      const url = listens instanceof TlsServer ? `https://localhost:${port}` : `http://127.0.0.1:${port}`
      const ask = listens instanceof TlsServer ? askOverHttp2(url) : askOver(url)
      ip = (await ask('/', { method: 'GET', headers })).body
    })
    return { ip: ip.replace(/^::ffff:|^::1$/, '') || '127.0.0.1', secure }
  }

  const plain = (listener: Listener) => createServer(listener)
  const tls = (listener: Listener) => http2.createSecureServer(certificate, listener)
  const headers = { 'x-forwarded-for': '198.51.100.1, 203.0.113.9, 192.0.2.44', 'x-forwarded-proto': 'https' }

  test("over plain http: the socket's address, and not secure, whatever the headers say", async () => {
    expect(await facts(plain, headers)).toEqual({ ip: '127.0.0.1', secure: false })
  })

  test('over TLS, HTTP/2 included: secure', async () => {
    expect(await facts(tls, {})).toEqual({ ip: '127.0.0.1', secure: true })
  })

  test.for([
    [1, '192.0.2.44'],
    [2, '203.0.113.9'],
    [3, '198.51.100.1'],
    [9, '198.51.100.1'],
  ] as const)('behind %d proxies of the own: the address that the outermost of them saw', async ([hops, ip]) => {
    expect(await facts(plain, headers, hops)).toEqual({ ip, secure: true })
  })

  test('an address that is none is not believed', async () => {
    expect(await facts(plain, { 'x-forwarded-for': 'not an address' }, 1)).toEqual({ ip: '127.0.0.1', secure: false })
  })

  test.for([-1, 1.5, Number.NaN, true])('trustProxy %s is refused at once', trustProxy => {
    const sessions = createSessions({ store: memoryStore(), secret: SECRET, production: false })
    expect(() => session(sessions, { trustProxy: trustProxy as number })).toThrow(expect.objectContaining({ code: 'BAD_OPTION' }))
  })
})
