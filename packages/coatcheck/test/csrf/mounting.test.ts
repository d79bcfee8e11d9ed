import { createServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import express from 'express'
import { Hono } from 'hono'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import * as onExpress from '../../src/adapters/express.ts'
import * as onHono from '../../src/adapters/hono.ts'
import { csrf as nodeCsrf } from '../../src/adapters/node.ts'
import { createSessions, type Sessions } from '../../src/core/sessions.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { SECRET } from '../core/world.ts'
import { listen, type Running } from './apps.ts'

const form = { 'content-type': 'application/x-www-form-urlencoded' }
const evil = { ...form, 'sec-fetch-site': 'cross-site' }

/** Undici takes none that is shorter. */
const BOUNDARY = 'a-boundary-of-27-characters'

let sessions: Sessions
/** A second engine, for the same app. */
let other: Sessions
let app: Running | undefined
beforeEach(() => {
  sessions = createSessions({ store: memoryStore(), secret: SECRET, production: false })
  const cookie = { name: 'a', visitName: 'b' }
  other = createSessions({ store: memoryStore(), secret: SECRET, production: false, cookie })
})
afterEach(async () => {
  await app?.close()
  await sessions.close()
  await other.close()
})

async function serve(listener: Parameters<typeof createServer>[1] & object): Promise<Running> {
  app = await listen(createServer(listener))
  return app
}

const page = (error: unknown) => ({ status: 403, headers: { 'Content-Type': 'text/html' }, body: `<p>${(error as Error).name}` })

describe('Express', () => {
  test('without a session before it, csrf() says so to the error handlers', async () => {
    const server = express().use(onExpress.csrf())
    server.use(((error, _req, res, _next) => void res.status(500).send(error.code)) as express.ErrorRequestHandler)
    const { send } = await serve(server)
    expect(await send({ path: '/' })).toMatchObject({ status: 500, body: 'NO_SESSION' })
  })

  test('a sub-app is exempt by its whole path, as it was sent', async () => {
    const sub = express()
      .use(onExpress.csrf({ exempt: ['POST /saml/acs'] }))
      .post('/acs', (_req, res) => void res.send('in'))
    const { send } = await serve(express().use(onExpress.session(sessions)).use('/saml', sub).use('/other', sub))
    expect((await send({ path: '/saml/acs', headers: evil, body: 'x=1' })).body).toBe('in')
    expect((await send({ path: '/other/acs', headers: evil, body: 'x=1' })).status).toBe(403)
  })

  test('a form whose body nobody has parsed has no token, and what stands on a prototype is none', async () => {
    const server = express().use(onExpress.session(sessions))
    server.get('/token', (req, res) => void res.send(onExpress.csrfToken(req.session)))
    server.use(onExpress.csrf(), (_req, res) => void res.send('done'))
    const { send } = await serve(server)
    const { body: token, setCookie } = await send({ method: 'GET', path: '/token' })
    const cookie = setCookie.map(line => line.split(';')[0]).join('; ')
    expect((await send({ path: '/', headers: { ...form, cookie }, body: `_csrf=${token}` })).status).toBe(403)
    expect((await send({ path: '/', headers: { ...form, cookie, 'x-csrf-token': token } })).body).toBe('done')
  })

  test("behind a proxy the scheme is what Express' own trust setting says", async () => {
    const server = express().use(onExpress.session(sessions), onExpress.csrf(), (_req, res) => void res.send('done'))
    const { send, host } = await serve(server)
    const headers = { ...form, origin: `https://${host}`, 'x-forwarded-proto': 'https' }
    expect((await send({ path: '/', headers })).status).toBe(403)
    server.set('trust proxy', 1)
    expect((await send({ path: '/', headers })).status).toBe(200)
  })

  test('two engines in one app: csrf() goes by the session that it is told', async () => {
    const server = express().use(onExpress.session(sessions), onExpress.session(other, { as: 'admin' }))
    server.use(onExpress.csrf({ as: 'admin' }), async (req, res) => {
      await (Reflect.get(req, 'admin') as onExpress.Session).login('root')
      res.send('in')
    })
    const { send } = await serve(server)
    const { setCookie } = await send({ path: '/', headers: { 'content-type': 'application/json' } })
    expect(setCookie.map(line => line.split('=')[0])).toEqual(['a', 'a-csrf-token'])
  })

  // Guard: `${name}-${base}` in check.ts ownName.
  test('two engines in one app, both behind csrf(): the tokens of one stay valid when the other signs in and out', async () => {
    const server = express().use(onExpress.session(sessions), onExpress.session(other, { as: 'admin' }))
    server.use(onExpress.csrf({ tokens: 'required', exempt: ['POST /login'] }))
    server.use(onExpress.csrf({ tokens: 'required', as: 'admin', exempt: ['POST /login', 'POST /member'] }))
    const admin = (req: express.Request): onExpress.Session => Reflect.get(req, 'admin')
    server.get('/form', (req, res) => res.send(onExpress.csrfToken(req.session)))
    server.get('/admin-form', (req, res) => res.send(onExpress.csrfToken(admin(req))))
    server.post('/login', async (req, res) => {
      await req.session.login('anna')
      await admin(req).login('root')
      res.send('in')
    })
    server.post('/member', (_req, res) => res.send('done'))
    const { send } = await serve(server)
    const json = { 'content-type': 'application/json' }

    const visitor = await send({ method: 'GET', path: '/form' })
    const adminVisitor = await send({ method: 'GET', path: '/admin-form' })
    const nonces = [...visitor.setCookie, ...adminVisitor.setCookie].map(line => line.split('=')[0])
    expect(nonces).toEqual(['csrf', 'csrf-token', 'a-csrf', 'a-csrf-token'])

    const { setCookie } = await send({ path: '/login', headers: json })
    const cookies = new Map(setCookie.map(line => line.split(';')[0]!.split('=') as [string, string]))
    expect([...cookies.keys()].sort()).toEqual(['a', 'a-csrf-token', 'csrf-token', 'sid'])
    const cookie = [...cookies].map(pair => pair.join('=')).join('; ')
    const write = (token: string) =>
      send({ path: '/member', headers: { ...json, cookie, 'x-csrf-token': cookies.get(token) ?? '' } })
    expect(await write('csrf-token')).toMatchObject({ status: 200 })
    expect(await write('a-csrf-token')).toMatchObject({ status: 403 })
  })

  test('the refusal can be a page', async () => {
    const { send } = await serve(express().use(onExpress.session(sessions), onExpress.csrf({ answer: page })))
    expect(await send({ path: '/', headers: evil })).toMatchObject({ status: 403, body: '<p>CoatcheckError' })
  })

  test('a malformed option is refused when csrf() is called', () => {
    for (const csrf of [onExpress.csrf, onHono.csrf, nodeCsrf])
      expect(() => csrf({ trustedOrigins: ['*'] })).toThrow(expect.objectContaining({ code: 'BAD_OPTION' }))
  })
})

describe('Hono', () => {
  test('without a session before it, csrf() says so', async () => {
    const server = new Hono().use(onHono.csrf()).onError((error, c) => c.text(String(Reflect.get(error, 'code')), 500))
    expect(await (await server.request('http://x.example/', { method: 'POST' })).text()).toBe('NO_SESSION')
  })

  async function tokenOf(send: Running['send']): Promise<{ token: string; cookie: string }> {
    const { body: token, setCookie } = await send({ method: 'GET', path: '/token' })
    return { token, cookie: setCookie.map(line => line.split(';')[0]).join('; ') }
  }

  const hono = () =>
    new Hono()
      .use(onHono.session(sessions), onHono.csrf({ answer: page }))
      .get('/token', c => c.text(onHono.csrfToken(c.var.session)))
      .post('/', async c => c.json(await c.req.parseBody()))
      .post('/raw', async c => c.text(await c.req.text()))

  const multipart = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` }
  const part = (name: string, value: string) =>
    `--${BOUNDARY}\r\nContent-Disposition: form-data; name=${name}\r\n\r\n${value}\r\n`
  const end = `--${BOUNDARY}--\r\n`

  test('a form that was read for its token, urlencoded or multipart, is whole for the handler', async () => {
    const { send } = await serve(getRequestListener(hono().fetch))
    const { token, cookie } = await tokenOf(send)
    const sent = await send({ path: '/', headers: { ...form, cookie }, body: `_csrf=${token}&x=1` })
    expect(JSON.parse(sent.body)).toEqual({ _csrf: token, x: '1' })
    const body = `${part('"_csrf"', token)}${part('"x"', '1')}${end}`
    const inParts = await send({ path: '/', headers: { ...multipart, cookie }, body })
    expect(JSON.parse(inParts.body)).toEqual({ _csrf: token, x: '1' })
  })

  test('a body that cannot be parsed, and a file in the place of the token, are refused', async () => {
    const { send } = await serve(getRequestListener(hono().fetch))
    const { token, cookie } = await tokenOf(send)
    const file = `${part('"_csrf"; filename="f"', token)}${end}`
    for (const body of ['not a form', file])
      expect((await send({ path: '/', headers: { ...multipart, cookie }, body })).status).toBe(403)
  })

  test('where headers decide, the body is not touched', async () => {
    const { send } = await serve(getRequestListener(hono().fetch))
    expect((await send({ path: '/raw', headers: { ...form, 'sec-fetch-site': 'same-origin' }, body: 'x=1' })).body).toBe('x=1')
  })

  test('a Request that no server made is known by its address', async () => {
    const ask = (origin: string) =>
      hono().request('https://app.example.com/raw', { method: 'POST', headers: { origin }, body: 'x' })
    expect((await ask('https://app.example.com')).status).toBe(200)
    expect((await ask('http://app.example.com')).status).toBe(403)
    expect(await (await ask('https://evil.example')).text()).toBe('<p>CoatcheckError')
  })

  test('behind a proxy of ours the scheme is what it says', async () => {
    const server = new Hono().use(onHono.session(sessions, { trustProxy: 1 }), onHono.csrf()).post('/', c => c.text('done'))
    const { send, host } = await serve(getRequestListener(server.fetch))
    const headers = (proto: string) => ({ ...form, origin: `https://${host}`, 'x-forwarded-proto': proto })
    expect((await send({ path: '/', headers: headers('https') })).body).toBe('done')
    expect((await send({ path: '/', headers: headers('http') })).status).toBe(403)
  })
})
