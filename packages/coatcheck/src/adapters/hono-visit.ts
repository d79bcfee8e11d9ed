import type { IncomingMessage, ServerResponse } from 'node:http'
import { isIP } from 'node:net'
import type { Context } from 'hono'
import { isPromise } from '../core/engine.ts'
import { CoatcheckError, isCoatcheckError } from '../core/errors.ts'
import type { Exchange, RequestFacts } from '../core/exchange.ts'
import type { Answer } from '../core/guard.ts'
import type { Session } from '../core/session.ts'
import type { Sessions } from '../core/sessions.ts'
import { isMistake } from '../http/answer.ts'
import { commit, type Failing, finish, finishing, keepPolicy, responseOf, withSession } from '../http/fetch.ts'
import { forwarded } from '../http/forwarded.ts'
import { answerFor } from '../http/hold.ts'
import { refuseBeside } from '../http/two-engines.ts'

/** How the middleware was set, with every default filled in. */
export interface Settings {
  readonly name: string
  readonly hops: number
  readonly ip: (c: Context) => string | undefined
  readonly answer: (error: unknown, c: Context) => Answer
}

/** What `@hono/node-server` puts into `c.env`; other hosts do not, nor do tests that call `app.request()`. */
type NodeEnv = { readonly incoming?: IncomingMessage; readonly outgoing?: ServerResponse } | undefined

/** The address of the socket, where the host tells it. */
export function socketAddress(c: Context): string | undefined {
  return (c.env as NodeEnv)?.incoming?.socket.remoteAddress
}

/** What core may ask of a request. */
export class HonoFacts implements RequestFacts {
  readonly #c: Context
  readonly #settings: Settings

  constructor(c: Context, settings: Settings) {
    this.#c = c
    this.#settings = settings
  }

  secure(): boolean {
    const told = this.#forwarded('X-Forwarded-Proto')
    return told === undefined ? this.#c.req.url.startsWith('https:') : told === 'https'
  }

  ip(): string | undefined {
    const told = this.#forwarded('X-Forwarded-For')
    return told !== undefined && isIP(told) > 0 ? told : this.#settings.ip(this.#c)
  }

  userAgent(): string | undefined {
    return this.#c.req.header('User-Agent')
  }

  proxySetting(): string {
    return 'session(sessions, { trustProxy: 1 })'
  }

  #forwarded(header: string): string | undefined {
    return forwarded(this.#c.req.header(header), this.#settings.hops)
  }
}

/** Where a context keeps the visits of its request. */
const VISITS = Symbol('coatcheck.visits')

interface Visited {
  Variables: { [VISITS]: HonoVisit[] | undefined }
}

function visitsOf(c: Context): HonoVisit[] | undefined {
  const visited: Context<Visited> = c
  return visited.get(VISITS)
}

/** The visit behind the variable of this name, without touching its session; undefined where no middleware ran. */
export function visitOf(c: Context, name: string): HonoVisit | undefined {
  return visitsOf(c)?.find(visit => visit.name === name)
}

/**
 * True if this very engine has been here before: mounted twice, it does nothing the second time.
 *
 * @throws CoatcheckError `NO_SESSION` if another one, or something else, has the name, or this one another; `BAD_OPTION`
 *   beside one with the same cookies
 */
export function isVisited(c: Context, name: string, sessions: Sessions): boolean {
  const visits = visitsOf(c)
  const visit = visits?.find(visit => visit.name === name)
  if (visit?.sessions === sessions) return true
  if (visit === undefined && (visits !== undefined || c.get(name) === undefined)) {
    for (const here of visits ?? []) refuseBeside(here.sessions, here.name, sessions)
    return false
  }
  throw new CoatcheckError(
    'NO_SESSION',
    `c.var.${name} is taken: by another createSessions(), or another middleware. Give this one a name of its own: session(sessions, { as: 'adminSession' }).`,
  )
}

/**
 * Lets handlers find the session under its name, and touches it only then.
 *
 * To Hono a variable is a plain value. A session that were one would be parsed by every request, and make every response
 * a personal one. So the value is the visit, and the context's two ways to a variable give its session instead.
 */
export function expose(c: Context, visit: HonoVisit): void {
  const before = visitsOf(c)
  c.set(visit.name, visit)
  if (before !== undefined) return void before.push(visit)
  const visits = [visit]
  const visited: Context<Visited> = c
  visited.set(VISITS, visits)
  const { get, set } = c
  c.get = showingGet(get)
  c.set = refusingSet(get, set)
  Object.defineProperty(c, 'var', variables)
  c.body = following(c.body, visits)
  c.newResponse = following(c.newResponse, visits)
}

/**
 * A stream's writer goes on after the response has left; what it changes in the session is saved before the last byte. A
 * response does not show that its body is a stream, but for what its head may say: so those who make it are asked.
 */
function following<Make extends (...args: never[]) => unknown>(make: Make, visits: readonly HonoVisit[]): Make {
  return new Proxy(make, {
    apply(target, self, [data, ...rest]: unknown[]) {
      return Reflect.apply(target, self, [visits.reduce((body, visit) => visit.followed(body), data), ...rest])
    },
  })
}

// Each of these gives a function, since V8 puts a function that is written right into an assignment to a property where old
// objects are: it would keep all of its request from being collected early, at twice the cost of the request.

function showingGet(get: Getter): Getter {
  return key => shown(get(key))
}

function refusingSet(get: Getter, set: Setter): Setter {
  return (key, value) => {
    const held = get(key)
    if (held instanceof HonoVisit) held.refuseInstead(value)
    else set(key, value)
  }
}

type Getter = (key: string) => unknown
type Setter = (key: string, value: unknown) => void

function shown(value: unknown): unknown {
  return value instanceof HonoVisit ? value.session : value
}

/** `c.var` as Hono makes it, seen through `shown`. One descriptor for all requests, so that V8 sees one shape of context. */
const variables: PropertyDescriptor & ThisType<Context> = {
  configurable: true,
  get() {
    return new Proxy(Reflect.get(Object.getPrototypeOf(this), 'var', this) as object, showing)
  },
}

const showing: ProxyHandler<object> = { get: (values, key) => shown(Reflect.get(values, key)) }

/**
 * The answer that ends a request. What it leaves unsaid goes where Hono's errors go, but for outages: these are told by an
 * event, and would flood the log.
 */
export function refusal(c: Context, error: unknown, answer: Settings['answer']): Response {
  if (error instanceof Error) c.error = error
  if (isMistake(error)) console.error(error)
  return responseOf(answerFor(told => answer(told, c), error))
}

/** One request's session, and what becomes of the response. */
export class HonoVisit implements Failing {
  readonly sessions: Sessions
  readonly name: string
  readonly facts: RequestFacts
  readonly exchange: Exchange
  readonly #c: Context
  readonly #answer: Settings['answer']
  #phase: 'handling' | 'answered' | 'replaced' = 'handling'
  #followsStreams = false

  constructor(sessions: Sessions, c: Context, settings: Settings, facts: RequestFacts, exchange: Exchange) {
    this.sessions = sessions
    this.name = settings.name
    this.facts = facts
    this.exchange = exchange
    this.#c = c
    this.#answer = settings.answer
  }

  /** Whoever asks for the session makes the response wait for it; a request in which nobody does pays nothing. */
  get session(): Session {
    if (this.#phase !== 'handling' && !this.exchange.touched) this.#commitLate()
    return this.exchange.session
  }

  /**
   * A session is changed, or ended, and never replaced: to set the variable to nothing would look like a sign-out and be
   * none.
   *
   * @throws CoatcheckError `NO_SESSION` for everything but the session itself
   */
  refuseInstead(value: unknown): void {
    if (this.exchange.touched && value === this.exchange.session) return
    const { name } = this
    const what = value == null ? `To sign out, call await c.var.${name}.logout().` : 'Set its properties instead.'
    throw new CoatcheckError('NO_SESSION', `c.set('${name}', …) was called, but the session cannot be replaced. ${what}`)
  }

  /** The body of a response that is being made; a stream as one that ends when its session is saved. */
  followed(data: unknown): unknown {
    if (!this.exchange.touched || !(data instanceof ReadableStream)) return data
    this.#followsStreams = true
    return finishing(data, this, this)
  }

  /** First looked at by a stream's writer, after the head: its headers come too late, its changes are saved at the end. */
  #commitLate(): void {
    void this.exchange.session
    void this.exchange.commit()
    const { outgoing } = (this.#c.env as NodeEnv) ?? {}
    outgoing?.once('close', () => void finish(this, this))
  }

  /** Saves the session, and puts the response in order that may leave then. Waits only where something is saved. */
  leave(): Promise<void> | undefined {
    this.#speakFor(this.#c.error)
    if (!this.exchange.touched) {
      this.#phase = 'answered'
      return undefined
    }
    const response = (this.#followsStreams ? commit : withSession)(this.#c.res, this.exchange, this)
    if (isPromise(response)) return response.then(saved => this.#leaveWith(saved))
    this.#leaveWith(response)
    return undefined
  }

  /** An error of ours that Hono, or an `onError` that did not know it, answered with 500: it has an answer of its own. */
  #speakFor(error: unknown): void {
    if (!isCoatcheckError(error) || isMistake(error) || this.#c.res.status !== 500) return
    this.#replace(keepPolicy(this.#c.res, responseOf(answerFor(told => this.#answer(told, this.#c), error))))
  }

  #leaveWith(response: Response): void {
    if (response !== this.#c.res) this.#replace(response)
    if (this.#phase === 'handling') this.#phase = 'answered'
  }

  /** Hono would merge the headers of the one into the other, were the first still there. */
  #replace(response: Response): void {
    this.#c.res = undefined
    this.#c.res = response
  }

  refuse(error: unknown): Response {
    this.#phase = 'replaced'
    const response = refusal(this.#c, error, this.#answer)
    for (const cookie of this.#owedInside()) response.headers.append('Set-Cookie', cookie)
    return response
  }

  /** What engines inside of this one have done, and said on the response that is now dropped. */
  #owedInside(): readonly string[] {
    const visits = visitsOf(this.#c) ?? []
    return visits.slice(visits.indexOf(this) + 1).flatMap(visit => visit.exchange.owed)
  }

  tooLate(error: unknown): void {
    console.error(error)
  }

  /** The end of a stream. */
  finish(): ReturnType<Exchange['finish']> {
    return this.#phase === 'replaced' ? undefined : this.exchange.finish()
  }
}
