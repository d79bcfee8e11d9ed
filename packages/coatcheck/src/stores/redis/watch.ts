import { within } from '../../core/clock.ts'
import { randomText } from '../../core/crypto.ts'
import type { Watch } from '../../core/store.ts'
import type { Run } from './client.ts'
import type { Topology } from './topology.ts'
import type { MakeTracker, Tracker } from './tracker.ts'

/** What a watch tells: a record's id, or null for everything. */
type Changed = (id: string | null) => void

/** A probe's key has done its work at once; this only cleans up. */
const PROBE_TTL_MS = 1000

/** What a tracking connection needs to know of the store. */
export interface WatchSettings {
  readonly prefix: string
  readonly timeoutMs: number
}

/**
 * Follows every change of the records on all masters, each over a connection of its own.
 *
 * @param trackers one for each master
 * @param topologyOf on a Cluster: what must stay as it is on each node while the watch lasts
 */
export async function watchMasters(
  trackers: readonly MakeTracker[],
  settings: WatchSettings,
  changed: Changed,
  topologyOf?: (run: Run) => Promise<Topology>,
): Promise<Watch> {
  const masters = trackers.map(make => new Tracking(make, settings, changed))
  const close = async () => {
    for (const master of masters) master.lose(new Error('The watch was closed.'))
  }
  try {
    for (const master of masters) await master.open(topologyOf)
    assertWhole(masters)
  } catch (error) {
    await close()
    throw error
  }
  return { prove: async () => void (await Promise.all(masters.map(master => master.prove()))), close }
}

/** Every node that owns slots must be followed; the client's map may be behind. */
function assertWhole(masters: readonly Tracking[]): void {
  const followed = masters
    .map(({ topology }) => topology?.own)
    .sort()
    .join()
  const whole = masters.every(({ topology }) => topology === undefined || [...topology.owners].sort().join() === followed)
  if (!whole) throw new Error('The Cluster is changing: its nodes do not agree with the client on who owns the slots.')
}

/**
 * One connection that the server tells of every change under our prefix, by itself and on this very connection
 * (`CLIENT TRACKING … BCAST`): tracking by another connection could die without a sign.
 */
class Tracking {
  readonly #tracker: Tracker
  readonly #settings: WatchSettings
  readonly #changed: Changed
  readonly #probe: string
  /** Probes on their way, by key: the invalidation of each must arrive. */
  readonly #awaited = new Map<string, PromiseWithResolvers<void>>()
  #topologyOf: ((run: Run) => Promise<Topology>) | undefined
  #lost: Error | undefined
  topology: Topology | undefined

  constructor(make: MakeTracker, settings: WatchSettings, changed: Changed) {
    this.#settings = settings
    this.#changed = changed
    this.#probe = `${settings.prefix}probe:${randomText(6)}:`
    this.#tracker = make({ changed: key => this.#heard(key), lost: cause => this.lose(cause) })
  }

  async open(topologyOf?: (run: Run) => Promise<Topology>): Promise<void> {
    const { prefix, timeoutMs } = this.#settings
    await within(timeoutMs, this.#tracker.open([`${prefix}s:`, `${prefix}generation`, this.#probe]))
    this.#topologyOf = topologyOf
    this.topology = await topologyOf?.(this.#run)
    await within(timeoutMs, this.prove())
  }

  /**
   * Writes a key that this node owns, over the client that reads go over, and waits for its invalidation as well as for
   * the reply: a node that is cut off from the data refuses the write, one that no longer tracks never tells, and what was
   * acknowledged before the write has been told before its reply.
   */
  async prove(): Promise<void> {
    if (this.#lost) throw this.#lost
    const key = `${this.#probe}${this.topology?.tag ?? ''}${randomText(6)}`
    const told = Promise.withResolvers<void>()
    this.#awaited.set(key, told)
    try {
      const written = this.#tracker.run(['SET', key, '', 'PX', String(PROBE_TTL_MS)])
      await Promise.all([written, told.promise, this.#sameTopology()])
    } finally {
      this.#awaited.delete(key)
    }
  }

  /** Whatever is awaited fails, and the connection is ended: it is never used again. */
  lose(error: unknown): void {
    if (this.#lost) return
    this.#lost = error instanceof Error ? error : new Error('The tracking connection failed.')
    for (const { reject } of this.#awaited.values()) reject(this.#lost)
    this.#tracker.destroy()
  }

  readonly #run: Run = args => within(this.#settings.timeoutMs, this.#tracker.run(args))

  async #sameTopology(): Promise<void> {
    if (this.topology === undefined) return
    const now = await this.#topologyOf?.(this.#run)
    if (now?.digest !== this.topology.digest) throw new Error('The Cluster has changed: nodes, roles or slots.')
  }

  #heard(key: string | null): void {
    if (this.#lost) return
    const { prefix } = this.#settings
    if (key === null || key === `${prefix}generation`) this.#changed(null)
    else if (key.startsWith(`${prefix}s:`)) this.#changed(key.slice(prefix.length + 2))
    else this.#awaited.get(key)?.resolve()
  }
}
