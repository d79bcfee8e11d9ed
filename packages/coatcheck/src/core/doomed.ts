import { within } from './clock.ts'
import type { Emitter, SessionEvents } from './events.ts'
import type { SessionRecord } from './record.ts'

/** Of each kind; beyond this the oldest is given up (law 11). */
const MOST_DOOMED = 10_000
const RETRY_MS = 250
/** A round of so many; the next follows soon. */
const MOST_PER_ROUND = 100
/** For how long `close` waits for a store that answers slowly or not at all. */
const LAST_ROUND_MS = 2000

/**
 * Sessions that this process still has to end, because the store did not answer when it was told to (law 6). It is asked
 * again until it does.
 *
 * Of two kinds, kept apart: rotations of unknown outcome, whose old token must not go on, and births that were never handed
 * out. Anybody can cause any number of those while a store is down, and they may push out only each other: nobody holds a
 * token of them, and they run out by themselves.
 */
export class Doomed {
  readonly #remove: (id: string) => Promise<unknown>
  readonly #events: Emitter<SessionEvents>
  /** Whose they are, by id. */
  readonly #rotations = new Map<string, string | null>()
  readonly #births = new Set<string>()
  #timer: NodeJS.Timeout | undefined
  #inRound = false
  #closed = false

  constructor(remove: (id: string) => Promise<unknown>, events: Emitter<SessionEvents>) {
    this.#remove = remove
    this.#events = events
  }

  addRotation({ id, userId }: SessionRecord): void {
    const [oldest] = this.#rotations
    if (oldest !== undefined && this.#rotations.size >= MOST_DOOMED) this.#giveUp(...oldest)
    this.#rotations.set(id, userId)
    this.#retry()
  }

  addBirth(id: string): void {
    const [oldest] = this.#births
    if (oldest !== undefined && this.#births.size >= MOST_DOOMED) this.#births.delete(oldest)
    this.#births.add(id)
    this.#retry()
  }

  /** True if no token of this session counts any more, whatever the store still holds. */
  has(id: string): boolean {
    return this.#rotations.size > 0 && this.#rotations.has(id)
  }

  /** Ends it now, if it is one. Throws as long as the store does not answer. */
  async end(id: string): Promise<void> {
    if (!this.#rotations.has(id) && !this.#births.has(id)) return
    await this.#remove(id)
    this.#births.delete(id)
    const userId = this.#rotations.get(id) ?? null
    if (this.#rotations.delete(id)) this.#events.emit('session.ended', { id, userId, reason: 'unknown-rotation' })
  }

  /** Stops asking again, after one last time for all that are left: the next process knows nothing of them. */
  async close(): Promise<void> {
    this.#closed = true
    this.#stop()
    if (this.#isEmpty) return
    const left = [...this.#rotations.keys(), ...this.#births]
    await within(LAST_ROUND_MS, this.#endMany(left)).catch(() => {})
    for (const rotation of this.#rotations) this.#giveUp(...rotation)
  }

  get #isEmpty(): boolean {
    return this.#rotations.size + this.#births.size === 0
  }

  #giveUp(id: string, userId: string | null): void {
    this.#rotations.delete(id)
    this.#events.emit('session.unended', { id, userId })
  }

  #retry(): void {
    if (!this.#closed) this.#timer ??= setInterval(() => void this.#round(), RETRY_MS).unref()
  }

  #stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** One round at a time: a store that does not answer at all must not be asked more and more. */
  async #round(): Promise<void> {
    if (this.#inRound) return
    this.#inRound = true
    await this.#endMany([...this.#rotations.keys(), ...this.#births].slice(0, MOST_PER_ROUND))
    this.#inRound = false
    if (this.#isEmpty) this.#stop()
  }

  /** Until the first that the store does not answer to. */
  async #endMany(ids: readonly string[]): Promise<void> {
    try {
      for (const id of ids) await this.end(id)
    } catch {
      // Told as `store.failed`, and tried again.
    }
  }
}
