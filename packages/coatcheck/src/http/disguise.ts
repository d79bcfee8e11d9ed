import { headersSentError } from './node-refusals.ts'
import type { NodeResponse } from './node-response.ts'

type Method = (...args: unknown[]) => unknown

/** What a response whose calls are being noted down has to say of itself. */
export interface Pretence {
  readonly ended: boolean
  readonly needsDrain: boolean
}

/**
 * Lets the response answer as if the noted calls had been made. Gives the way back to its own answers.
 *
 * @param pretence is looked at with every question
 */
export function pretend(response: NodeResponse, pretence: Pretence): () => void {
  const ways = [
    shadow(response, 'headersSent', () => true),
    shadow(response, 'writableEnded', () => pretence.ended),
    shadow(response, 'finished', () => pretence.ended),
    shadow(response, 'writableNeedDrain', () => pretence.needsDrain && !pretence.ended),
  ]
  return () => {
    for (const back of ways) back()
  }
}

function shadow(response: NodeResponse, name: string, get: () => boolean): () => void {
  const before = Object.getOwnPropertyDescriptor(response, name)
  Object.defineProperty(response, name, { get, configurable: true, enumerable: true })
  return () => {
    if (before !== undefined) Object.defineProperty(response, name, before)
    else Reflect.deleteProperty(response, name)
  }
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
