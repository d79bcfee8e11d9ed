import type { Clock } from '../core/clock.ts'
import type { RoleOf } from '../core/guard.ts'
import type { SessionsOptions } from '../core/options.ts'
import type { Session } from '../core/session.ts'
import { createSessions, type Sessions } from '../core/sessions.ts'
import type { MaybePromise } from '../core/store.ts'
import { clockLaws } from './adapter/clocks.ts'
import { failureLaws } from './adapter/failures.ts'
import { guardLaws } from './adapter/guards.ts'
import { headerLaws } from './adapter/headers.ts'
import { identityLaws } from './adapter/identity.ts'
import { outageLaws } from './adapter/outages.ts'
import { savingLaws } from './adapter/saving.ts'
import { visitorLaws } from './adapter/visitors.ts'
import { Browser } from './browser.ts'
import { type Gate, gatedStore } from './gate.ts'
import { type Law, type Skip, withSkips } from './law.ts'
import type { StoreSpace } from './store-laws.ts'

/** A request as the laws' own handler sees it, whatever the framework. */
export interface SiteRequest {
  readonly method: string
  /** Without the query. */
  readonly path: string
  /** To read it is to touch the session: the harness gives a getter, and reads nothing itself. */
  readonly session: Session
}

/** What the framework is to answer; status 200, no headers and an empty body where nothing is said. */
export interface SiteAnswer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly body?: string
}

/** What the harness puts behind the adapter's middleware. */
export interface Site {
  /** For the adapter's `session(sessions)`. */
  readonly sessions: Sessions
  /** The handler of every path and method. What it throws goes to the framework as a handler's error. */
  answer(request: SiteRequest): MaybePromise<SiteAnswer>
  /** For the adapter's `requireRole('admin', { role })`. */
  readonly role: RoleOf
}

/** A site that listens. */
export interface Served {
  /** One request over a real connection; redirects are not followed. `askOver(url)` is one. */
  ask(path: string, init: { readonly method: string; readonly headers: Readonly<Record<string, string>> }): Promise<Reply>
  close(): MaybePromise<void>
}

/** What came back. */
export interface Reply {
  readonly status: number
  readonly headers: Headers
  readonly body: string
}

/** How the laws get at an adapter. */
export interface AdapterHarness {
  /**
   * Serves the site over a real socket: the adapter's `session(site.sessions)` first, then its guards at these paths, then
   * `site.answer` at every path, guarded ones included.
   *
   * - `/members` behind `requireAuth()`
   * - `/pages` behind `requireAuth({ loginPath: '/login' })`
   * - `/admins` behind `requireRole('admin', 'owner')`
   * - `/staff` behind `requireRole('admin', { role: site.role })`
   * - `/fresh` behind `requireFresh('10m')`
   */
  serve(site: Site): MaybePromise<Served>
  /** An empty store for each law, and a second one over the same records. */
  open(): MaybePromise<Pick<StoreSpace, 'store' | 'second' | 'close'>>
  readonly skip?: readonly Skip[]
}

/** A law's handler, by path; another path is answered with 404. A text is a body, nothing is `ok`. */
// biome-ignore lint/suspicious/noConfusingVoidType: most of a law's handlers have nothing to say.
export type Routes = Readonly<Record<string, (request: SiteRequest) => MaybePromise<SiteAnswer | string | void>>>

/** A clock that a law turns. */
interface TurnedClock extends Clock {
  advance(ms: number): void
}

/** Two processes' worth of one site, as a law sees it. */
interface AdapterWorld {
  readonly clock: TurnedClock
  /** Before the store of the site that `open` serves. */
  readonly gate: Gate
  /** What the role hook finds, from then on. */
  readonly hook: { role: RoleOf }
  /** Serves the routes from this process. */
  open(routes: Routes, options?: Partial<SessionsOptions>): Promise<OpenSite>
  /** Serves them from another process, over the same records. */
  openElsewhere(routes: Routes, options?: Partial<SessionsOptions>): Promise<OpenSite>
}

/** A served site, and its visitors. */
export interface OpenSite {
  readonly sessions: Sessions
  /** A browser without cookies, or with those that another one has now. */
  browser(like?: Browser): Browser
}

/** A law before it has got its world. */
export interface AdapterLaw {
  readonly name: string
  readonly law?: number
  prove(world: AdapterWorld): Promise<void>
}

/**
 * What every adapter promises, over real connections, as data for any test runner.
 *
 * ```ts
 * for (const law of adapterLaws({ serve, open })) test(law.name, law.run)
 * ```
 *
 * Each law opens a store and serves its sites, and closes them.
 */
export function adapterLaws(harness: AdapterHarness): readonly Law[] {
  const chapters = [identityLaws, savingLaws, outageLaws, failureLaws, visitorLaws, clockLaws, headerLaws, guardLaws]
  return withSkips(
    chapters.flat().map(law => runnable(law, harness)),
    harness.skip ?? [],
  )
}

/** `Served.ask` for a server at this address, by `fetch`. */
export function askOver(url: string): Served['ask'] {
  return async (path, { method, headers }) => {
    const response = await fetch(url + path, { method, headers, redirect: 'manual' })
    return { status: response.status, headers: response.headers, body: await response.text() }
  }
}

function runnable({ name, law, prove }: AdapterLaw, harness: AdapterHarness): Law {
  return {
    name: law === undefined ? name : `law ${law}: ${name}`,
    ...(law !== undefined && { law }),
    run: () => inWorld(harness, prove),
  }
}

const SECRET = 'thirty-two bytes of text at least, for tests'

async function inWorld(harness: AdapterHarness, prove: AdapterLaw['prove']): Promise<void> {
  const space = await harness.open()
  const served: Served[] = []
  const clock = turnedClock()
  const gate = gatedStore(space.store)
  const hook: AdapterWorld['hook'] = { role: () => undefined }
  const opened = async (routes: Routes, options: SessionsOptions): Promise<OpenSite> => {
    const sessions = createSessions(options)
    const site = await harness.serve({
      sessions,
      answer: request => answerBy(routes, request),
      role: session => hook.role(session),
    })
    served.push(site)
    return { sessions, browser: like => new Browser(site.ask, like) }
  }
  const shared = { secret: SECRET, clock, production: false }
  try {
    await prove({
      clock,
      gate,
      hook,
      open: (routes, options) => opened(routes, { ...shared, store: gate.store, ...options }),
      openElsewhere: async (routes, options) => opened(routes, { ...shared, store: await space.second(), ...options }),
    })
  } finally {
    gate.reset()
    for (const site of served) await site.close()
    await space.close()
  }
}

/** Begins at the real time, for a store's own clock must not find the records old; and stands still. */
function turnedClock(): TurnedClock {
  let now = Date.now()
  return {
    now: () => now,
    advance(ms) {
      now += ms
    },
  }
}

async function answerBy(routes: Routes, request: SiteRequest): Promise<SiteAnswer> {
  const route = routes[request.path]
  if (route === undefined) return { status: 404, body: `no route ${request.path}` }
  const answer = (await route(request)) ?? 'ok'
  return typeof answer === 'string' ? { body: answer } : answer
}
