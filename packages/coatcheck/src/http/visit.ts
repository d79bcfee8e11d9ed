import { isPromise } from '../core/engine.ts'
import { CoatcheckError } from '../core/errors.ts'
import type { Exchange, RequestFacts } from '../core/exchange.ts'
import { answerTo } from '../core/guard.ts'
import type { Session } from '../core/session.ts'
import type { Sessions } from '../core/sessions.ts'
import { isMistake, sendAnswer } from './answer.ts'
import { type AnswerTo, answerFor, hold, tell } from './hold.ts'
import type { NodeResponse } from './node-response.ts'
import { refuseBeside } from './two-engines.ts'

/** Goes on with the request; with an error, to whoever answers to errors. */
export type Next = (error?: unknown) => unknown

/**
 * One request's stay with the session middleware: the facts that core may ask for, the exchange that it got, and the
 * response that will wait for it. One object, because it is made for every request.
 */
export abstract class Visit implements RequestFacts {
  readonly sessions: Sessions
  readonly #response: NodeResponse
  readonly #next: Next
  readonly #answer: AnswerTo
  #exchange: Exchange | undefined
  #held = false

  constructor(sessions: Sessions, response: NodeResponse, next: Next, answer: AnswerTo = answerTo) {
    this.sessions = sessions
    this.#response = response
    this.#next = next
    this.#answer = answer
  }

  abstract secure(): boolean
  abstract ip(): string | undefined
  abstract userAgent(): string | undefined

  /** As it was opened; to look at it touches nothing. */
  get exchange(): Exchange | undefined {
    return this.#exchange
  }

  /** Whoever asks for the session makes the response wait for it; a request in which nobody does pays nothing. */
  get session(): Session | undefined {
    const exchange = this.#exchange
    if (exchange === undefined) return undefined
    const session = exchange.session
    if (!this.#held) {
      this.#held = true
      hold(this.#response, exchange, listenerOf(this.#next), this.#answer)
    }
    return session
  }

  /** True if `value` is what the property holds anyway. */
  holds(value: unknown): boolean {
    return this.#held && this.#exchange?.session === value
  }

  /**
   * Opens the session, then goes on. Where the store cannot be asked the request ends here: nobody knows whose it is
   * (law 6).
   *
   * @returns what `next` returned
   */
  start(cookie: string | undefined): unknown {
    let exchange: ReturnType<Sessions['open']>
    try {
      exchange = this.sessions.open(cookie, this)
    } catch (error) {
      return this.#refuse(error)
    }
    if (!isPromise(exchange)) return this.#goOn(exchange)
    return exchange.then(
      opened => this.#goOn(opened),
      (error: unknown) => this.#refuse(error),
    )
  }

  #goOn(exchange: Exchange): unknown {
    this.#exchange = exchange
    return this.#next()
  }

  #refuse(error: unknown): void {
    // Somebody else, a time limit for instance, may have answered while the store was asked.
    if (!this.#response.headersSent) sendAnswer(this.#response, answerFor(this.#answer, error))
    if (isMistake(error)) tell(listenerOf(this.#next), error)
  }
}

/**
 * Who hears of an error that comes when the answer is out. A `next` without parameters does not ask for errors: it would
 * take the call for its turn, and handle the request a second time.
 */
function listenerOf(next: Next): (error: unknown) => void {
  return next.length > 0 ? next : warn
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error))
}

/** A request, and the visits that middlewares have put on it. */
export type Visited = object & { [slot: symbol]: Visit | undefined }

/** The names that this program uses: nearly always one, and then no request has to look for a second engine. */
const names = new Set<string>()

/** Where a request keeps its visit for the property of this name; one for all copies of the package. */
export function slotFor(name: string): symbol {
  names.add(name)
  return symbolFor(name)
}

function symbolFor(name: string): symbol {
  return Symbol.for(`coatcheck.visit.${name}`)
}

/**
 * True if this very engine has been here before: mounted twice, it does nothing the second time.
 *
 * @throws CoatcheckError `NO_SESSION` if another one has the property, or this one another; `BAD_OPTION` beside one with
 *   the same cookies
 */
export function isVisited(request: Visited, slot: symbol, name: string, sessions: Sessions): boolean {
  const visit = request[slot]
  if (visit === undefined && !Object.hasOwn(request, name)) {
    if (names.size > 1) refuseBesideOthers(request, sessions)
    return false
  }
  if (visit?.sessions === sessions) return true
  throw new CoatcheckError(
    'NO_SESSION',
    `req.${name} is taken: by another createSessions(), or another session middleware. Give this one a name of its own: session(sessions, { as: 'adminSession' }).`,
  )
}

function refuseBesideOthers(request: Visited, sessions: Sessions): void {
  for (const name of names) {
    const here = request[symbolFor(name)]
    if (here !== undefined) refuseBeside(here.sessions, name, sessions)
  }
}

/**
 * The property through which handlers reach the session, for a request or for a prototype of requests.
 *
 * Reading it where no middleware ran gives undefined. Assigning to it there makes an ordinary property, as ever; where
 * one did run it is refused, since a session is changed, or ended, and never replaced by another object.
 */
export function sessionProperty(name: string, slot: symbol): PropertyDescriptor & ThisType<Visited> {
  return {
    configurable: true,
    enumerable: false,
    get() {
      return this[slot]?.session
    },
    set(value: unknown) {
      const visit = this[slot]
      if (visit === undefined) {
        Object.defineProperty(this, name, { value, writable: true, enumerable: true, configurable: true })
      } else if (!visit.holds(value)) throw refusedAssignment(name, value)
    },
  }
}

function refusedAssignment(name: string, value: unknown): CoatcheckError {
  const what =
    value === null || value === undefined ? `To sign out, call await req.${name}.logout().` : 'Set its properties instead.'
  return new CoatcheckError('NO_SESSION', `req.${name} was assigned to, but the session cannot be replaced. ${what}`)
}
