import type { CoatcheckError } from './errors.ts'

/** Why a session came to its end. */
export type EndReason = 'logout' | 'replaced' | 'revoked' | 'evicted' | 'signed-out' | 'unknown-rotation'

/**
 * Every event and what it carries. Ids are public; no event ever holds a token or a secret (law 5).
 *
 * Who listens for an audit trail wants the first six (ASVS 5.0 16.3.1, 16.3.3); who runs the service wants the rest.
 */
export interface SessionEvents {
  /** Somebody signed in; `again` if the same person did so in a living session (step-up). */
  login: { id: string; userId: string; again: boolean; ip: string | null; userAgent: string | null }
  /** A login was refused because the person's sessions were ended while it was under way. */
  'login.overtaken': { userId: string }
  /** A session ended. `userId` is null for a visitor's. */
  'session.ended': { id: string; userId: string | null; reason: EndReason }
  /** `revokeUser`, `revokeOthers`: these sessions of one person ended. */
  'user.revoked': { userId: string; ids: readonly string[]; kept: string | null }
  /** `revokeEveryone`: every session ended. */
  'everyone.revoked': { kept: string | null }
  /** `csrf()` refused a request. `origin` is what its `Origin` header said, cut to 255 characters. */
  'request.refused': { error: CoatcheckError; origin: string | null; id: string | null; userId: string | null; ip: string | null }
  /** A session began; with a `userId` a `login` event goes with it. */
  'session.created': { id: string; userId: string | null }
  /** A session got a new secret; its old token is dead. */
  'session.rotated': { id: string; userId: string | null; reason: 'login' | 'privilege' | 'requested' }
  /** A token came that a parallel request (or a thief) had already seen replaced. Many for one id: look closer. */
  'session.superseded': { id: string; userId: string | null; ip: string | null }
  /**
   * The store never said whether a rotation had happened, and the session could not be ended: it did not answer until the
   * process closed, or too many waited for it. Its old token may still sign in; `revoke(id)` once the store answers.
   */
  'session.unended': { id: string; userId: string | null }
  /** A change had no living session to go to, and was dropped (law 4). */
  'session.dropped': { id: string | null; userId: string | null }
  /** Data changed after the response had begun; it was saved at the end. Save earlier, or call `session.save()`. */
  'session.late': { id: string }
  /** Two different valid tokens under one cookie name: somebody planted one. Neither was believed. */
  'cookie.ambiguous': { name: string }
  /** The first secure cookie on a request that looks like plain http: see the message. Once per process. */
  'cookie.insecure': { message: string }
  /** Reads may be answered from the near cache from now on: its watch is proven. */
  'near-cache.proven': { store: string }
  /** The near cache's watch is lost or could not be set up: every read is strict until it is proven again. */
  'near-cache.lost': { store: string; cause: unknown }
  /** The hook of `requireRole` failed: nobody passed. `error.cause` is what it threw. */
  'role.failed': { userId: string | null; error: CoatcheckError }
  /** The store failed; `operation` is the contract's method. */
  'store.failed': { operation: string; error: CoatcheckError }
}

export type SessionEventName = keyof SessionEvents

type Listener<Event> = (event: Event) => unknown

/**
 * Tells listeners what happened. A listener that throws, or whose promise is rejected, harms nobody but itself.
 *
 * `Map` names each event and what it carries. Of use to layers above too: theirs then behave like the session's.
 */
export class Emitter<Map extends object> {
  readonly #listeners: { [Name in keyof Map]?: Set<Listener<Map[Name]>> } = {}

  /** Calls `listener` from now on; the returned function ends that. */
  on<Name extends keyof Map>(name: Name, listener: Listener<Map[Name]>): () => void {
    const listeners = this.#listeners[name] ?? new Set()
    this.#listeners[name] = listeners.add(listener)
    return () => void listeners.delete(listener)
  }

  /** True if anybody would hear it. */
  heard(name: keyof Map): boolean {
    return (this.#listeners[name]?.size ?? 0) > 0
  }

  emit<Name extends keyof Map>(name: Name, event: Map[Name]): void {
    for (const listener of this.#listeners[name] ?? []) void this.#tell(name, listener, event)
  }

  async #tell<Name extends keyof Map>(name: Name, listener: Listener<Map[Name]>, event: Map[Name]): Promise<void> {
    try {
      await listener(event)
    } catch (error) {
      const message = error instanceof Error ? error.message : typeof error
      process.emitWarning(`A listener for '${String(name)}' threw: ${message}`, 'CoatcheckWarning')
    }
  }
}
