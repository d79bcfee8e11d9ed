import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http'
import { type ClientHttp2Session, connect, createServer as createHttp2Server, type Http2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { getRequestListener } from '@hono/node-server'
import type express5 from 'express'
import { Hono } from 'hono'
import * as expressAdapter from '../../src/adapters/express.ts'
import * as honoAdapter from '../../src/adapters/hono.ts'
import * as nodeAdapter from '../../src/adapters/node.ts'
import type { Session } from '../../src/core/session.ts'
import type { Sessions } from '../../src/core/sessions.ts'
import type { CsrfRuleOptions } from '../../src/csrf/options.ts'

/** A request as it goes over the wire: what is not named is not sent. */
export interface Sent {
  readonly method?: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** What came back. */
export interface Received {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly setCookie: readonly string[]
  readonly body: string
}

/** What the app does, apart from its framework. Each answers with a word; who looks at `session` touches it. */
export type Act = (request: { readonly session: Session }, csrfToken: (session: Session) => string) => Promise<string> | string

/** An app that listens. */
export interface Running {
  /** `localhost:port`, as a browser has it in its address. */
  readonly host: string
  /** The server, where browsers speak to it: not over HTTP/2 without TLS. */
  readonly server?: Server
  send(request: Sent): Promise<Received>
  close(): Promise<void>
}

/** One adapter, and how an app on it is built: the session, the check, then the acts by route. */
export interface Kind {
  readonly name: string
  start(sessions: Sessions, options: CsrfRuleOptions, acts: Readonly<Record<string, Act>>): Promise<Running>
}

const NOT_FOUND: Act = () => 'nothing here'

/** `POST /login` without its query. */
function routeOf(method = '', url = ''): string {
  return `${method} ${url.split('?', 1)[0]}`
}

const nodeKind: Kind = {
  name: 'node:http',
  start: (sessions, options, acts) => listen(createServer(nodeListener(sessions, options, acts))),
}

/** What a parser of bodies does: a few lines, as everybody has them. */
async function parseForm(request: nodeAdapter.NodeRequest): Promise<void> {
  const type = request.headers['content-type'] ?? ''
  if (type.includes('urlencoded')) Object.assign(request, { body: Object.fromEntries(new URLSearchParams(await text(request))) })
}

function nodeListener(sessions: Sessions, options: CsrfRuleOptions, acts: Readonly<Record<string, Act>>) {
  const [enter, check] = [nodeAdapter.session(sessions), nodeAdapter.csrf(options)]
  return async (request: nodeAdapter.NodeRequest, response: nodeAdapter.NodeServerResponse) => {
    await parseForm(request)
    await enter(request, response, () =>
      check(request, response, async () => {
        const act = acts[routeOf(request.method, request.url)] ?? NOT_FOUND
        const body = await act(request as nodeAdapter.RequestWithSession<typeof request>, nodeAdapter.csrfToken)
        response.setHeader('Content-Type', 'text/html')
        ;(response as { end(body: string): unknown }).end(body)
      }),
    )
  }
}

const http2Kind: Kind = {
  name: 'node:http2',
  async start(sessions, options, acts) {
    const server = createHttp2Server(nodeListener(sessions, options, acts))
    const port = await portOf(server)
    const client = connect(`http://127.0.0.1:${port}`)
    return {
      host: `localhost:${port}`,
      send: request => sendHttp2(client, port, request),
      async close() {
        client.close()
        await new Promise(resolve => server.close(resolve))
      },
    }
  },
}

async function sendHttp2(
  client: ClientHttp2Session,
  port: number,
  { method = 'POST', path, headers = {}, body }: Sent,
): Promise<Received> {
  const { host = `localhost:${port}`, ...others } = headers
  const head = { ':method': method, ':path': path, ':authority': host, ...others }
  const stream = client.request(head, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  const answer = await new Promise<Record<string, unknown>>((resolve, reject) =>
    stream.once('response', resolve).once('error', reject),
  )
  const { ':status': status, 'set-cookie': setCookie = [], ...rest } = answer
  return {
    status: Number(status),
    headers: rest as Record<string, string>,
    setCookie: setCookie as string[],
    body: await text(stream),
  }
}

type Express = typeof express5

/** The two majors agree on all that is used here, and their types on nearly all. */
async function load(module: Promise<{ readonly default: unknown }>): Promise<Express> {
  return (await module).default as Express
}

function expressKind(name: string, express: Express): Kind {
  return {
    name,
    start(sessions, options, acts) {
      const app = express().use(express.urlencoded({ extended: false }), express.json())
      app.use(expressAdapter.session(sessions), expressAdapter.csrf(options))
      app.use((req, res, next) => {
        const act = acts[routeOf(req.method, req.url)] ?? NOT_FOUND
        Promise.resolve(act(req, expressAdapter.csrfToken)).then(body => res.type('html').send(body), next)
      })
      return listen(createServer(app))
    },
  }
}

const honoKind: Kind = {
  name: 'Hono',
  start(sessions, options, acts) {
    const app = new Hono().use(honoAdapter.session(sessions), honoAdapter.csrf(options)).all('*', async c => {
      const act = acts[routeOf(c.req.method, c.req.path)] ?? NOT_FOUND
      return c.html(await act(c.var, honoAdapter.csrfToken))
    })
    return listen(createServer(getRequestListener(app.fetch)))
  },
}

/** Every adapter that there is. */
export const kinds: readonly Kind[] = [
  nodeKind,
  http2Kind,
  expressKind('Express 5', await load(import('express'))),
  expressKind('Express 4', await load(import('express4'))),
  honoKind,
]

/** The free port on which the server then listens. */
async function portOf(server: Server | Http2Server): Promise<number> {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

/** Starts an HTTP/1.1 server. */
export async function listen(server: Server): Promise<Running> {
  const port = await portOf(server)
  return {
    host: `localhost:${port}`,
    server,
    send: request => send(port, request),
    async close() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

/** Not `fetch`, which adds headers of its own and refuses some of ours. */
function send(port: number, { method = 'POST', path, headers = {}, body }: Sent): Promise<Received> {
  return new Promise((resolve, reject) => {
    const withHost = { host: `localhost:${port}`, ...headers }
    const request = httpRequest({ host: '127.0.0.1', port, method, path, headers: withHost, agent: false })
    request.once('response', response => received(response).then(resolve, reject)).once('error', reject)
    request.end(body)
  })
}

async function received(response: IncomingMessage): Promise<Received> {
  const { 'set-cookie': setCookie = [], ...headers } = response.headers
  return { status: response.statusCode ?? 0, headers: headers as Record<string, string>, setCookie, body: await text(response) }
}
