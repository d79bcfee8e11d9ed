import assert from 'node:assert/strict'
import type { Session } from '../../core/session.ts'
import type { Reply, Routes, SiteRequest } from '../adapter-laws.ts'

/** The session's data, as text to compare. */
export function dataOf(session: Session): string {
  return JSON.stringify(session)
}

/** Sets keys of the data that the type does not know. */
export function change(session: Session, data: Readonly<Record<string, unknown>>): void {
  Object.assign(session, data)
}

/** What nearly every law needs. `/quiet` alone does not touch the session. */
export const routes: Routes = {
  '/quiet': () => 'quiet',
  '/me': ({ session }) => session.userId ?? 'nobody',
  '/data': ({ session }) => dataOf(session),
  '/visit': ({ session }) => change(session, { seen: 1 }),
  '/cart': ({ session }) => change(session, { cart: Date.now() + Math.random() }),
  '/promote': ({ session }) => change(session, { role: 'admin' }),
  '/login': ({ session }) => session.login('alice'),
  '/login-bob': ({ session }) => session.login('bob'),
  '/remember': ({ session }) => session.login('alice', { remember: true }),
  '/logout': ({ session }) => session.logout(),
  '/assign': ({ session }) => change(session, { userId: 'alice' }),
}

/** A handler that waits in the middle of its request until it is let go. */
export function slowRoute(act: (request: SiteRequest) => unknown): {
  readonly route: Routes[string]
  readonly arrived: Promise<void>
  letGo(): void
} {
  const arrival = Promise.withResolvers<void>()
  const leave = Promise.withResolvers<void>()
  return {
    arrived: arrival.promise,
    letGo: leave.resolve,
    async route(request) {
      // Touched before whatever happens meanwhile, as by a handler that looks who it is.
      void request.session.userId
      arrival.resolve()
      await leave.promise
      await act(request)
    },
  }
}

/** Proves status and body, and that the body says what it is. */
export function assertError(reply: Reply, status: number, body: Readonly<Record<string, string>>): void {
  assert.equal(reply.status, status, reply.body)
  assert.match(reply.headers.get('content-type') ?? '', /^application\/json\b/)
  assert.deepEqual(JSON.parse(reply.body), body)
  assert.match(reply.headers.get('cache-control') ?? '', /no-store/)
}

/** The names of the cookies that the reply sets or removes. */
export function cookiesIn(reply: Reply): readonly string[] {
  return reply.headers.getSetCookie().map(line => line.slice(0, line.indexOf('=')))
}
