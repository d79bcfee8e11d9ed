import type { SessionsOptions } from '../../src/core/options.ts'
import { createSessions, type Sessions } from '../../src/core/sessions.ts'
import type { SessionStore, Watch } from '../../src/core/store.ts'
import { type Gate, gatedStore } from '../../src/testing/gate.ts'
import { SECRET } from '../core/world.ts'

/** What the engines of both processes are made with: only what a message can carry. */
export type SideOptions = Pick<SessionsOptions, 'nearCache' | 'maxSessionsPerUser' | 'touchEvery'>

export type Deafness = false | 'to news' | 'to all' | 'cut off'

/** What one process has over a space: the store, an engine, and levers on both. */
export class Side {
  readonly store: SessionStore
  readonly gate: Gate
  readonly engine: Sessions
  /** Ids that its engine has begun, whatever came of them. */
  readonly begun = new Set<string>()
  /** Ids of which news has come, and null for news of everything. */
  readonly heard = new Set<string | null>()
  readonly #unheard: (() => void)[] = []
  #watch: Watch | undefined
  #deaf: Deafness = false

  /** @param now milliseconds since the epoch, if the engine's clock is not the machine's */
  constructor(store: SessionStore, options: SideOptions, now: () => number = Date.now) {
    this.store = store
    this.gate = gatedStore(store)
    const clock = { now }
    this.engine = createSessions({ ...options, store: this.#engineStore(), secret: SECRET, production: false, clock })
  }

  #engineStore(): SessionStore {
    // The store stays open: it is the link's.
    const { watch, close: _, ...gated } = this.gate.store
    const store: SessionStore = {
      ...gated,
      create: (record, forgetAt) => {
        this.begun.add(record.id)
        return gated.create(record, forgetAt)
      },
    }
    if (watch === undefined) return store
    return {
      ...store,
      watch: async changed => {
        if (this.#deaf === 'cut off') throw new Error('cut off')
        this.#watch = await watch(id => this.#hear(id, changed))
        return this.#heardBy(this.#watch)
      },
    }
  }

  #heardBy(watch: Watch): Watch {
    return {
      ...watch,
      prove: () => this.#prove(watch),
      close: () => watch.close(),
    }
  }

  async #prove(watch: Watch): Promise<void> {
    if (this.#deaf === 'cut off') throw new Error('cut off')
    return this.#deaf === 'to all' ? new Promise(() => {}) : watch.prove()
  }

  #hear(id: string | null, changed: (id: string | null) => void): void {
    this.heard.add(id)
    if (this.#deaf === false) changed(id)
    // A watch that was lost tells nothing later.
    else if (this.#deaf !== 'cut off') this.#unheard.push(() => changed(id))
  }

  /** Resolves once its near cache, if it has one, has heard of all that was changed before. */
  async catchUp(): Promise<void> {
    await this.engine.ready()
    await this.#watch?.prove()
  }

  /**
   * Deaf to news: nothing of what others change is heard until it is not deaf any more, and no proof fails for it. A near
   * cache then keeps a stale record for as long as a test needs it, as it otherwise does for a millisecond. Deaf to all:
   * nor does a proof ever come, as where packets are dropped. Cut off: proofs fail, and so does each new watch.
   */
  setDeaf(deaf: Deafness): void {
    this.#deaf = deaf
    if (deaf === false) for (const tell of this.#unheard.splice(0)) tell()
  }

  async close(): Promise<void> {
    this.setDeaf(false)
    this.gate.reset()
    await this.engine.close()
  }
}
