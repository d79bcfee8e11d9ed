import { type Session, safeReturnPath } from 'coatcheck'
import { type Options, openWorld, receiveInto, type World } from '../support/world.ts'
import type { Answered, Framework, Routes } from './sites.ts'

/** What came back. */
export interface Reply {
  readonly status: number
  readonly headers: Headers
  readonly setCookie: readonly string[]
  readonly body: string
}

/** An application over all of Coatcheck, served by one framework, as in production. */
export interface Site extends World {
  readonly url: string
  /** What the application's own accounts say of each person's role. */
  readonly roles: Map<unknown, string>
  visitor(like?: Visitor): Visitor
}

/** A browser that sends what browsers send. */
export class Visitor {
  readonly jar = new Map<string, string>()
  readonly #url: string

  constructor(url: string, like?: Visitor) {
    this.#url = url
    for (const [name, value] of like?.jar ?? []) this.jar.set(name, value)
  }

  get cookie(): string {
    return [...this.jar].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  async send(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Reply> {
    const content: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' }
    const response = await fetch(this.#url + path, {
      method,
      redirect: 'manual',
      headers: { cookie: this.cookie, 'sec-fetch-site': 'same-origin', ...content, ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const setCookie = response.headers.getSetCookie()
    receiveInto(this.jar, setCookie)
    return { status: response.status, headers: response.headers, setCookie, body: await response.text() }
  }

  get(path: string, headers?: Record<string, string>): Promise<Reply> {
    return this.send('GET', path, undefined, headers)
  }

  post(path: string, body: unknown = {}, headers?: Record<string, string>): Promise<Reply> {
    return this.send('POST', path, body, headers)
  }

  /** Who the server takes this browser for. */
  async whoAmI(): Promise<string | undefined> {
    return (JSON.parse((await this.get('/me')).body) as { userId?: string }).userId
  }
}

export async function openSite(framework: Framework, options: Options = {}): Promise<Site> {
  const world = openWorld({ production: true, ...options })
  const roles: Site['roles'] = new Map()
  const served = await framework.serve(world.sessions, routesOf(world), ({ userId }) => roles.get(userId))
  return {
    ...world,
    url: served.url,
    roles,
    visitor: like => new Visitor(served.url, like),
    async close() {
      await served.close()
      await world.close()
    },
  }
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const invalid: Answered = { status: 401, json: { error: 'Invalid credentials' } }

function answered(result: {
  readonly ok: boolean
  readonly reason?: string
  readonly retryAfter?: number
  readonly message?: string
}): Answered {
  if (result.ok) return { json: { ok: true } }
  if (result.reason === 'throttled')
    return { status: 429, headers: { 'Retry-After': `${result.retryAfter}` }, json: { error: 'Too many tries' } }
  return result.reason === 'weak' ? { status: 422, json: { error: result.message } } : invalid
}

function routesOf({ auth, sessions }: World): Routes {
  return {
    'GET /': () => ({ json: 'welcome' }),
    'GET /me': ({ session }) => ({ json: { userId: session.userId } }),
    'GET /login': ({ query }) => ({ status: 302, headers: { Location: safeReturnPath(query.get('returnTo')) }, json: null }),
    'POST /login': async ({ session, body }) =>
      answered(
        await auth.login(session, {
          identifier: text(body.email),
          password: text(body.password),
          remember: body.remember === true,
        }),
      ),
    'POST /logout': async ({ session }) => {
      await session.logout()
      return { headers: { 'Clear-Site-Data': '"cache", "storage"' }, json: { ok: true } }
    },
    'POST /cart': ({ session }) => {
      Object.assign(session, { cart: ['umbrella'] })
      return { json: { ok: true } }
    },
    'POST /forgot': async ({ session, body }) => answered(await auth.requestReset(session, { identifier: text(body.email) })),
    'POST /reset': async ({ session, body }) =>
      answered(await auth.resetPassword(session, { token: text(body.token), password: text(body.password) })),
    'POST /members/reauthenticate': async ({ session, body }) =>
      answered(await auth.reauthenticate(session, { password: text(body.password) })),
    'POST /members/password': async ({ session, body }) =>
      answered(await auth.changePassword(session, { password: text(body.password), newPassword: text(body.newPassword) })),
    'GET /members/devices': async ({ session }) => ({ json: await sessions.devices(session) }),
    'POST /fresh/devices/revoke': async ({ session, body }) => ({
      json: { ended: await sessions.revokeDevice(session, text(body.id)) },
    }),
    'POST /fresh/devices/revoke-others': async ({ session }) => ({ json: { ended: await sessions.revokeOthers(session) } }),
    'POST /fresh/email': () => ({ json: { ok: true } }),
    'GET /staff/people': () => ({ json: ['ann', 'bob'] }),
    'POST /admin/revoke-user': async ({ body }) => ({ json: { ended: await sessions.revokeUser(text(body.userId)) } }),
    'POST /admin/revoke-everyone': async () => {
      await sessions.revokeEveryone()
      return { json: { ok: true } }
    },
  }
}

/** Makes a signed-in visitor an administrator. */
export async function promote(visitor: Visitor, { sessions }: World): Promise<void> {
  const exchange = await sessions.open(visitor.cookie, { secure: () => true, ip: () => undefined, userAgent: () => undefined })
  const session: Session = exchange.session
  session.role = 'admin'
  const { setCookie } = await exchange.commit()
  receiveInto(visitor.jar, setCookie)
}
