import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { getRequestListener } from '@hono/node-server'
import type { Session, Sessions } from 'coatcheck'
import * as express from 'coatcheck/express'
import * as hono from 'coatcheck/hono'
import * as node from 'coatcheck/node'
import type express5 from 'express'
import type { ErrorRequestHandler } from 'express'
import { Hono } from 'hono'

/** A request as the application sees it, whatever the framework. */
interface Asked {
  readonly session: Session
  readonly body: Readonly<Record<string, unknown>>
  readonly query: URLSearchParams
}

export interface Answered {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly json: unknown
}

/** An application: what it does at `POST /login` and the like. */
export type Routes = Readonly<Record<string, (asked: Asked) => Promise<Answered> | Answered>>

/** The person's role, from where the application keeps it. */
type RoleOf = (session: Pick<Session, 'userId'>) => string | undefined

/** One adapter, and how an application on it is served: the session, CSRF, the guards, then the routes. */
export interface Framework {
  readonly name: string
  serve(sessions: Sessions, routes: Routes, role: RoleOf): Promise<{ readonly url: string; close(): Promise<void> }>
}

/**
 * Behind `/members` somebody must be signed in, behind `/fresh` lately, behind `/admin` as an administrator by the session,
 * behind `/staff` by the role hook.
 */
const NOT_FOUND: Answered = { status: 404, json: { error: 'Not found' } }

async function answer(routes: Routes, method: string, url: string, asked: Omit<Asked, 'query'>): Promise<Required<Answered>> {
  const { pathname, searchParams } = new URL(url, 'http://site')
  const route = routes[`${method} ${pathname}`]
  const {
    status = 200,
    headers = {},
    json,
  } = route === undefined ? NOT_FOUND : await route({ query: searchParams, ...asSeen(asked) })
  return { status, headers, json }
}

/** The session stays a getter, for to read it is to touch it. */
function asSeen(asked: Omit<Asked, 'query'>): Omit<Asked, 'query'> {
  return {
    body: asked.body,
    get session() {
      return asked.session
    },
  }
}

async function listen(server: Server) {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

type Body = Record<string, unknown>

/** JSON where it says so; anything else is no body of ours. */
async function bodyOf(request: IncomingMessage): Promise<Body> {
  if (!(request.headers['content-type'] ?? '').startsWith('application/json')) return {}
  return (await json(request).catch(() => ({}))) as Body
}

function nodeListener(sessions: Sessions, routes: Routes, role: RoleOf): RequestListener {
  const layers: [string, node.Middleware][] = [
    ['/', node.session(sessions)],
    ['/', node.csrf()],
    ['/members', node.requireAuth()],
    ['/fresh', node.requireFresh('10m')],
    ['/admin', node.requireRole('admin')],
    ['/staff', node.requireRole('admin', { role })],
  ]
  return async (request, response) => {
    const body = await bodyOf(request)
    const rest = layers.filter(([prefix]) => request.url?.startsWith(prefix))
    const next: node.Next = error => {
      const [, layer] = rest.shift() ?? []
      if (error !== undefined) return fail(response, error)
      if (layer !== undefined) return layer(request, response, next)
      const { session } = request as node.RequestWithSession<IncomingMessage>
      return answer(routes, request.method ?? '', request.url ?? '', { body, session }).then(
        ({ status, headers, json }) =>
          response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(json)),
        error => fail(response, error),
      )
    }
    next()
  }
}

function fail(response: ServerResponse, error: unknown): void {
  const { status, headers, body } = node.answerTo(error)
  response.writeHead(status, headers).end(body)
}

const onError: ErrorRequestHandler = (error, _req, res, _next) => {
  const { status, headers, body } = express.answerTo(error)
  res.status(status).set(headers).send(body)
}

type Express = typeof express5

async function load(name: 'express' | 'express4'): Promise<Express> {
  const module: { default: Express } = await import(name)
  return module.default
}

function expressFramework(name: string, make: Express): Framework {
  return {
    name,
    serve(sessions, routes, role) {
      const app = make().use(make.json(), express.session(sessions), express.csrf())
      app.use('/members', express.requireAuth())
      app.use('/fresh', express.requireFresh('10m'))
      app.use('/admin', express.requireRole('admin'))
      app.use('/staff', express.requireRole('admin', { role }))
      app.use((req, res, next) => {
        const asked = { body: (req.body ?? {}) as Body, get session() { return req.session } } // biome-ignore format: one line
        answer(routes, req.method, req.originalUrl, asked).then(
          ({ status, headers, json }) => res.status(status).set(headers).json(json),
          next,
        )
      })
      app.use(onError)
      return listen(createServer(app))
    },
  }
}

const honoFramework: Framework = {
  name: 'Hono',
  serve(sessions, routes, role) {
    const app = new Hono<{ Variables: hono.SessionVariables }>()
    app.use(hono.session(sessions)).use(hono.csrf())
    app.use('/members/*', hono.requireAuth())
    app.use('/fresh/*', hono.requireFresh('10m'))
    app.use('/admin/*', hono.requireRole('admin'))
    app.use('/staff/*', hono.requireRole('admin', { role }))
    app.all('*', async c => {
      const isJson = c.req.header('content-type')?.startsWith('application/json')
      const body = isJson ? ((await c.req.json().catch(() => ({}))) as Body) : {}
      const asked = { body, get session() { return c.var.session } } // biome-ignore format: one line
      const { status, headers, json } = await answer(routes, c.req.method, c.req.url, asked)
      return new Response(JSON.stringify(json), { status, headers: { 'Content-Type': 'application/json', ...headers } })
    })
    app.onError(error => {
      const { status, headers, body } = hono.answerTo(error)
      return new Response(body, { status, headers })
    })
    return listen(createServer(getRequestListener(app.fetch)))
  },
}

/** Every adapter that there is. A new one goes here. */
export const frameworks: readonly Framework[] = [
  { name: 'node:http', serve: (...site) => listen(createServer(nodeListener(...site))) },
  expressFramework('Express 5', await load('express')),
  expressFramework('Express 4', await load('express4')),
  honoFramework,
]
