import { createSecureServer, type Http2SecureServer } from 'node:http2'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CHROMIUM_ARGS } from '../../../../test/services/chromium.ts'
import { service } from '../../../../test/services/service.ts'
import {
  createSessions,
  csrf,
  type NodeRequest,
  type NodeServerResponse,
  type RequestWithSession,
  requireAuth,
  session,
} from '../../src/adapters/node.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { SECRET } from '../core/world.ts'
import { closed, listening } from '../http/wire.ts'
import { certificate } from './certificate.ts'

const found = await service('chromium')

const sessions = createSessions({
  store: memoryStore(),
  secret: SECRET,
  production: true,
  allowInProduction: ['memory-store'],
})

/** What the server saw: the HTTP version of each request, by its path. */
const versions = new Map<string, string>()

type Handler = (request: RequestWithSession<NodeRequest>, response: NodeServerResponse) => unknown

const page = (text: string, action: string) =>
  `<!doctype html><title>app</title><h1>${text}</h1><form method="post" action="${action}"><button>go</button></form>`

function show(response: NodeServerResponse, body: string): void {
  response.setHeader('Content-Type', 'text/html; charset=utf-8')
  response.end(body)
}

function leadTo(response: NodeServerResponse, path: string): void {
  response.statusCode = 303
  response.setHeader('Location', path)
  response.end()
}

/** Browsers ask for an icon. */
const nothingHere: Handler = (_request, response) => {
  response.statusCode = 404
  response.end()
}

const handlers: Readonly<Record<string, Handler>> = {
  'GET /': ({ session }, response) =>
    show(response, session.userId === undefined ? page('nobody', '/login') : page(session.userId, '/logout')),
  'POST /login': async ({ session }, response) => {
    await session.login('ann')
    leadTo(response, '/')
  },
  'POST /logout': async ({ session }, response) => {
    await session.logout()
    leadTo(response, '/')
  },
}

function appServer(): Http2SecureServer {
  const [enter, check, guard] = [session(sessions), csrf(), requireAuth()]
  return createSecureServer({ ...certificate, allowHTTP1: true }, (request, response) => {
    const path = request.url.split('?', 1)[0] ?? ''
    const handler = handlers[`${request.method} ${path}`] ?? nothingHere
    const go = () => handler(request as RequestWithSession<NodeRequest>, response)
    versions.set(path, request.httpVersion)
    enter(request, response, () => check(request, response, () => (path === '/members' ? guard(request, response, go) : go())))
  })
}

describe.skipIf(found.missing)('ASVS 3.3.1, 3.3.3: in a browser over TLS', () => {
  const server = appServer()
  let url: string

  beforeAll(async () => {
    url = `https://localhost:${await listening(server)}`
  })
  afterAll(async () => {
    await closed(server)
    await sessions.close()
  })

  /** `--ignore-certificate-errors` for the certificate that signed itself; a Secure cookie needs TLS all the same. */
  function launch(...more: string[]): Promise<Browser> {
    return chromium.launch({
      executablePath: found.url ?? '',
      args: [...CHROMIUM_ARGS, '--ignore-certificate-errors', ...more],
    })
  }

  const press = async (page: Page) => {
    await page.getByRole('button').click()
    await page.waitForURL(`${url}/`)
  }
  const heading = (page: Page) => page.getByRole('heading').textContent()

  test.each([
    ['HTTP/2', '2.0', []],
    ['HTTP/1.1 at the same port', '1.1', ['--disable-http2']],
  ])('%s: a person signs in and out; the cookies are __Host-, Secure and HttpOnly', async (_, version, args) => {
    const browser = await launch(...args)
    try {
      const page = await browser.newPage()
      await page.goto(url)
      expect(await page.context().cookies()).toEqual([])
      await press(page)
      await expect.poll(() => heading(page)).toBe('ann')
      expect(['/', '/login'].map(path => versions.get(path))).toEqual([version, version])
      const cookies = await page.context().cookies()
      expect(cookies.find(({ name }) => name === '__Host-sid')).toMatchObject({
        secure: true,
        httpOnly: true,
        sameSite: 'Lax',
        path: '/',
        domain: 'localhost',
        expires: -1,
      })
      expect(cookies.every(({ secure }) => secure)).toBe(true)
      expect(await page.evaluate('document.cookie')).not.toContain('sid')
      const [before] = await sessions.list('ann')
      expect(before).toBeDefined()

      await press(page)
      await expect.poll(() => heading(page)).toBe('nobody')
      expect(versions.get('/logout')).toBe(version)
      expect(await page.context().cookies()).toEqual([])
      expect(await sessions.list('ann')).toEqual([])
      await page.context().addCookies(cookies)
      expect((await page.goto(`${url}/members`))?.status()).toBe(401)
    } finally {
      await browser.close()
    }
  })
})
