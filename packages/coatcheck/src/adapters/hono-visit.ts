import type { IncomingMessage, ServerResponse } from 'node:http'
import { isIP } from 'node:net'
import type { Context } from 'hono'
import { isPromise } from '../core/engine.ts'
import { CoatcheckError, isCoatcheckError } from '../core/errors.ts'
import type { Exchange, RequestFacts } from '../core/exchange.ts'
import type { Answer } from '../core/guard.ts'
import type { Session } from '../core/session.ts'
import type { Sessions } from '../core/sessions.ts'
import { commit, type Failing, finish, finishing, responseOf, withSession } from '../http/fetch.ts'
import { forwarded } from '../http/forwarded.ts'

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

  #forwarded(header: string): string | undefined {
    const { hops } = this.#settings
    return hops === 0 ? undefined : forwarded(this.#c.req.header(header), hops)
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
 * @throws CoatcheckError `NO_SESSION` if another one has the name
 */
export function isVisited(c: Context, name: string, sessions: Sessions): boolean {
  for (const visit of visitsOf(c) ?? []) {
    if (visit.sessions === sessions) return true
    if (visit.name === name) throw taken(name)
  }
  return false
}

function taken(name: string): CoatcheckError {
  return new CoatcheckError(
    'NO_SESSION',
    `c.var.${name} is another createSessions()'s. Give this one a name of its own: session(sessions, { as: 'adminSession' }).`,
  )
}

/**
 * Lets handlers find the session under its name, and touches it only then.
 *
 * To Hono a variable is a plain value. A session that were one would be parsed by every request, and make every response
 * a personal one. So the value is the visit, and the context's two ways to a variable give its session instead.
 */
export function expose(c: Context, visit: HonoVisit): void {
  const visits = visitsOf(c)
  c.set(visit.name, visit)
  if (visits !== undefined) return void visits.push(visit)
  const visited: Context<Visited> = c
  visited.set(VISITS, [visit])
  const { get } = c
  c.get = (key: string) => shown(get(key))
  Object.defineProperty(c, 'var', variables)
}

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
  if (!isCoatcheckError(error) || error.status === 500) console.error(error)
  return responseOf(answer(error, c))
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
    if (!this.exchange.touched) this.#touch()
    return this.exchange.session
  }

  #touch(): void {
    void this.exchange.session
    if (this.#phase === 'handling') this.#followStreams()
    else this.#commitLate()
  }

  /**
   * A stream's writer goes on after the response has left: what it changes in the session is saved before the last byte.
   * A response does not show that its body is a stream, but for what its head may say; so those who make it are asked.
   */
  #followStreams(): void {
    const c = this.#c
    c.body = this.#following(c.body)
    c.newResponse = this.#following(c.newResponse)
  }

  #following<Make extends (...args: never[]) => unknown>(make: Make): Make {
    return new Proxy(make, { apply: (target, self, args) => Reflect.apply(target, self, this.#followed(args)) })
  }

  #followed([data, ...rest]: unknown[]): unknown[] {
    if (!(data instanceof ReadableStream)) return [data, ...rest]
    this.#followsStreams = true
    return [finishing(data, this, this), ...rest]
  }

  /** First looked at by a stream's writer, after the head: its headers come too late, its changes are saved at the end. */
  #commitLate(): void {
    void this.exchange.commit()
    const { outgoing } = (this.#c.env as NodeEnv) ?? {}
    outgoing?.once('close', () => void finish(this, this))
  }

  /** Saves the session, and puts the response in order that may leave then. Waits only where something is saved. */
  leave(): Promise<void> | undefined {
    if (!this.exchange.touched) {
      this.#phase = 'answered'
      return undefined
    }
    this.#speakFor(this.#c.error)
    const response = (this.#followsStreams ? commit : withSession)(this.#c.res, this.exchange, this)
    if (isPromise(response)) return response.then(saved => this.#leaveWith(saved))
    this.#leaveWith(response)
    return undefined
  }

  /** An error of ours that Hono, or an `onError` that did not know it, answered with 500: it has an answer of its own. */
  #speakFor(error: unknown): void {
    if (!isCoatcheckError(error) || error.status === 500 || this.#c.res.status !== 500) return
    this.#replace(responseOf(this.#answer(error, this.#c)))
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
    return refusal(this.#c, error, this.#answer)
  }

  tooLate(error: unknown): void {
    console.error(error)
  }

  /** The end of a stream. */
  finish(): ReturnType<Exchange['finish']> {
    return this.#phase === 'replaced' ? undefined : this.exchange.finish()
  }
}
