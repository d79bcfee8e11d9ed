import { ServerResponse } from 'node:http'
import { Http2ServerResponse } from 'node:http2'
import { headersSentError } from './node-refusals.ts'
import type { NodeResponse } from './node-response.ts'

type Method = (...args: unknown[]) => unknown

/** What a response whose calls are being noted down has to say of itself. */
export interface Pretence {
  readonly ended: boolean
  readonly needsDrain: boolean
}

const PRETENCE = Symbol('coatcheck.pretence')

/** What a response says while its calls wait. `finished` is not among them where it is a plain property (HTTP/1.1). */
const SAYS: Readonly<Record<string, (pretence: Pretence) => boolean>> = {
  headersSent: () => true,
  writableEnded: ({ ended }) => ended,
  writableNeedDrain: ({ ended, needsDrain }) => needsDrain && !ended,
  finished: ({ ended }) => ended,
}

type Pretending = NodeResponse & { [PRETENCE]?: Pretence | undefined; finished?: boolean }

const NODE_PROTOTYPES: ReadonlySet<object | null> = new Set([ServerResponse.prototype, Http2ServerResponse.prototype])
/** Prototypes of ours between a bare response and node's own. */
const between = new WeakMap<object, object>()

/**
 * Lets the response answer as if the noted calls had been made. Gives the way back to its own answers.
 *
 * The answers stand on a prototype and are put there once. Accessors on each response would leave their mark on node's
 * own compiled code: after a few dozen, every response of the process costs some two microseconds more, for good.
 *
 * @param pretence is looked at with every question
 */
export function pretend(response: NodeResponse, pretence: Pretence): () => void {
  const pretending: Pretending = response
  if (!(PRETENCE in pretending)) teach(pretending)
  pretending[PRETENCE] = pretence
  return () => {
    pretending[PRETENCE] = undefined
    if (saysFinishedItself(pretending)) pretending.finished = false
  }
}

/** To be called where `pretence.ended` has become true. */
export function pretendFinished(response: NodeResponse): void {
  const pretending: Pretending = response
  if (saysFinishedItself(pretending)) pretending.finished = true
}

function saysFinishedItself(response: Pretending): boolean {
  return Object.hasOwn(response, 'finished')
}

/**
 * On a framework's prototype of all responses where there is one: Express gives a response another prototype and takes
 * it away again as it passes through sub-apps, but the topmost one stays.
 */
function teach(response: NodeResponse): void {
  const topmost = topmostOf(response)
  if (topmost === response) Object.setPrototypeOf(response, answeringLike(Object.getPrototypeOf(response)))
  else answerOn(topmost)
}

/** One for each of node's prototypes, so that all responses keep one shape. */
function answeringLike(parent: object): object {
  const known = between.get(parent)
  if (known !== undefined) return known
  const answering: object = Object.create(parent)
  answerOn(answering)
  between.set(parent, answering)
  return answering
}

/** The last prototype before node's own, which is a framework's; the response itself where there is none. */
export function topmostOf(response: object): object {
  let object = response
  for (;;) {
    const parent: object | null = Object.getPrototypeOf(object)
    if (parent === null) return response
    if (NODE_PROTOTYPES.has(parent)) return object
    object = parent
  }
}

function answerOn(prototype: object): void {
  Object.defineProperty(prototype, PRETENCE, { value: undefined, writable: true, configurable: true })
  for (const [name, says] of Object.entries(SAYS)) {
    const own = getterOf(Object.getPrototypeOf(prototype), name)
    Object.defineProperty(prototype, name, {
      configurable: true,
      enumerable: true,
      get(this: Pretending) {
        const pretence = this[PRETENCE]
        return pretence === undefined ? own?.call(this) : says(pretence)
      },
    })
  }
}

/** Looked up once: these are asked on every response. */
function getterOf(prototype: object | null, name: string): (() => unknown) | undefined {
  if (prototype === null) return undefined
  const descriptor = Object.getOwnPropertyDescriptor(prototype, name)
  return descriptor === undefined ? getterOf(Object.getPrototypeOf(prototype), name) : descriptor.get
}

/** Methods whose turn comes when the noted calls are made. */
export type NotedMethod = 'cork' | 'uncork' | 'destroy'

const NOTED: readonly NotedMethod[] = ['cork', 'uncork', 'destroy']
const REFUSED = { setHeader: 'set', setHeaders: 'set', appendHeader: 'append', removeHeader: 'remove' } as const

/** How the disguise asks for the response's state. */
export interface Holder {
  readonly isHeld: () => boolean
  readonly note: (method: NotedMethod, args: readonly unknown[]) => void
}

/**
 * Puts our methods in the place of those that would change a head that counts as sent, or act before the noted calls.
 * They stay, and do as ever once nothing is held: somebody may have wrapped them meanwhile.
 *
 * @returns the response's own methods of the names that are noted
 */
export function disguise(response: NodeResponse, { isHeld, note }: Holder): ReadonlyMap<NotedMethod, Method> {
  for (const [name, verb] of Object.entries(REFUSED)) {
    overlay(response, name, isHeld, () => {
      throw headersSentError(response, verb)
    })
  }
  const originals = NOTED.map(name => [name, overlay(response, name, isHeld, (...args) => answerNoted(name, args))] as const)
  const answerNoted = (name: NotedMethod, args: readonly unknown[]) => {
    note(name, args)
    return name === 'destroy' ? response : undefined
  }
  return new Map(originals)
}

function overlay(response: NodeResponse, name: string, isHeld: () => boolean, whileHeld: Method): Method {
  const original = Reflect.get(response, name) as Method | undefined
  const asEver: Method = (...args) => original && Reflect.apply(original, response, args)
  if (original !== undefined) Reflect.set(response, name, (...args: unknown[]) => (isHeld() ? whileHeld : asEver)(...args))
  return asEver
}
