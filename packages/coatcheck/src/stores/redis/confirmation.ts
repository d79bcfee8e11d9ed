import { CoatcheckError } from '../../core/errors.ts'
import type { RedisLink } from './client.ts'

/** How many replicas must have a revocation, and how long they may take, in milliseconds. */
export interface Wanted {
  readonly replicas: number
  readonly timeoutMs: number
}

interface Turn {
  readonly keys: Set<string>
  /** How many replicas have what was written on the node of each key. */
  readonly acknowledged: Promise<ReadonlyMap<string, number>>
}

/** What a replica in good health needs at most: those that are asked last in a turn get it even if the first took all the time. */
const LEAST_MS = 20

/**
 * Waits until replicas have what was written (`WAIT`), once for all who ask meanwhile.
 *
 * It holds up its connection, and must be sent over the one that wrote, which is everybody's. With one wait at a time a
 * read is held up no longer than one of them, however many sessions somebody ends while a replica is away.
 */
export class Confirmation {
  readonly #link: RedisLink
  readonly #wanted: Wanted
  #next: Turn | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(link: RedisLink, wanted: Wanted) {
    this.#link = link
    this.#wanted = wanted
  }

  /** Rejects if fewer have what was just written on the nodes of these keys. */
  async of(keys: readonly string[]): Promise<void> {
    this.#next ??= this.#queue()
    const turn = this.#next
    const nodes = this.#link.isCluster ? keys : ['']
    for (const key of nodes) turn.keys.add(key)
    const acknowledged = await turn.acknowledged
    const fewest = Math.min(...nodes.map(key => acknowledged.get(key) ?? 0))
    const { replicas } = this.#wanted
    if (fewest >= replicas) return
    throw new CoatcheckError(
      'STORE_UNAVAILABLE',
      `The revocation is in force, but only ${fewest} of ${replicas} replicas have it: a failover now could undo it. Repeat it.`,
    )
  }

  #queue(): Turn {
    const keys = new Set<string>()
    const acknowledged = this.#last.then(() => {
      this.#next = undefined
      return this.#ask(keys)
    })
    this.#last = acknowledged.catch(() => {})
    return { keys, acknowledged }
  }

  async #ask(keys: ReadonlySet<string>): Promise<ReadonlyMap<string, number>> {
    const { replicas, timeoutMs } = this.#wanted
    const until = performance.now() + timeoutMs
    const acknowledged = new Map<string, number>()
    for (const key of keys) {
      const leftMs = Math.max(Math.min(LEAST_MS, timeoutMs), Math.round(until - performance.now()))
      acknowledged.set(key, Number(await this.#link.run(key, ['WAIT', String(replicas), String(leftMs)])))
    }
    return acknowledged
  }
}
