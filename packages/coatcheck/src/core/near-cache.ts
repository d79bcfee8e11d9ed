import { performance } from 'node:perf_hooks'
import { within } from './clock.ts'
import { RecentMap } from './recent-map.ts'
import { bytesInMemory, type SessionRecord } from './record.ts'
import type { MaybePromise, SessionStore, Watch } from './store.ts'

/** Bounds of the near cache. */
export interface NearCacheSettings {
  /** For how long after it was asked for a proof of the watch holds, in milliseconds. */
  readonly leaseMs: number
  /** So many of the records used last are kept at least, and at most twice as many. */
  readonly max: number
}

/** The two clocks that a lease is counted on. A test hands in its own. */
export interface LeaseClock {
  /** Monotonic milliseconds: no step of the wall clock prolongs a lease. */
  monotonic(): number
  /** Wall milliseconds: they go on while a machine sleeps, when the monotonic clock may not. */
  wall(): number
}

/** What the cache tells of its connection to the store. */
export interface NearCacheListener {
  /** The first proof after a start or a loss: from here on reads may be near. */
  proven(): void
  /** The watch is lost; every read is strict until it is proven again. */
  lost(cause: unknown): void
}

const machineClock: LeaseClock = { monotonic: () => performance.now(), wall: () => Date.now() }

/** Records of ordinary size fit many times over; a few of 256 KiB must not fill the memory (law 11). */
const MOST_BYTES = 64 * 1024 * 1024
/** Proofs asked for within one lease: so many may be late before reads become strict. */
const PROOFS_PER_LEASE = 4
/** A proof that is later than this many leases, and this many milliseconds, is not coming: the connection is dead and silent. */
const LATEST_PROOF = { leases: 2, ms: 2000 }
/** A watch that is not set up within this time is given up and tried again; a store's own limits are shorter. */
const LATEST_WATCH_MS = 30_000
const FIRST_RETRY_MS = 100
const LAST_RETRY_MS = 5000

/** A read under way. An invalidation of its id, and a watch that ends or begins, forbid keeping what it will answer. */
interface Fill {
  overtaken: boolean
}

/**
 * Records of a store in this process's memory, as fresh as the store's `watch` proves (law 9).
 *
 * - A record is kept only if no invalidation of it came between the sending of its read and the answer, and only if the
 *   watch was there all the while: a reply that was overtaken by its own invalidation would otherwise stay for good.
 * - A record is given only within a lease. The lease is counted from when its proof was *asked for*, since the proof
 *   covers what was acknowledged before that, and on two clocks, since a frozen process or a sleeping machine must wake
 *   with none.
 * - Only what was found is kept, never "missing": a session is never refused by the cache.
 */
export class NearCache {
  readonly #store: SessionStore
  readonly #settings: NearCacheSettings
  readonly #listener: NearCacheListener
  readonly #clock: LeaseClock
  readonly #records: RecentMap<SessionRecord>
  readonly #fills = new Map<string, Set<Fill>>()
  #watch: Watch | undefined
  #provenAt = { monotonic: Number.NEGATIVE_INFINITY, wall: Number.NEGATIVE_INFINITY }
  #proving = false
  #closed = false
  #timer: NodeJS.Timeout | undefined
  #retryMs = FIRST_RETRY_MS
  #started: Promise<void>

  constructor(store: SessionStore, settings: NearCacheSettings, listener: NearCacheListener, clock: LeaseClock = machineClock) {
    this.#store = store
    this.#settings = settings
    this.#listener = listener
    this.#clock = clock
    this.#records = new RecentMap(2 * settings.max, { most: MOST_BYTES, of: bytesInMemory })
    this.#started = this.#start()
    // Who does not ask hears of it through the listener.
    this.#started.catch(() => {})
  }

  /** Resolves once the first proof is there; rejects if the watch could not be set up at the first try. */
  get ready(): Promise<void> {
    return this.#started
  }

  /** The record, if one is kept and the lease holds. */
  get(id: string): SessionRecord | undefined {
    return this.#isLeased() ? this.#records.get(id) : undefined
  }

  /** Reads from the store, and keeps the answer unless it was overtaken. */
  read(id: string): MaybePromise<SessionRecord | undefined> {
    const fill = this.#open(id)
    return Promise.resolve(this.#store.read(id))
      .then(record => this.#keep(id, record, fill))
      .finally(() => this.#shut(id, fill))
  }

  /** Forgets a record that this process has just changed, or tried to; null for all. */
  forget(id: string | null): void {
    if (id === null) this.#forgetAll()
    else this.#forgetOne(id)
  }

  /** Ends the watch; every later read is strict. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#forgetAll()
    await this.#started.catch(() => {})
    await this.#watch?.close().catch(() => {})
  }

  #forgetOne(id: string): void {
    this.#records.delete(id)
    for (const fill of this.#fills.get(id) ?? []) fill.overtaken = true
  }

  #forgetAll(): void {
    this.#records.clear()
    for (const fills of this.#fills.values()) for (const fill of fills) fill.overtaken = true
  }

  /** Elapsed time must be within the lease on both clocks; a clock that went backwards proves nothing. */
  #isLeased(): boolean {
    const monotonic = this.#clock.monotonic() - this.#provenAt.monotonic
    if (!(monotonic < this.#settings.leaseMs)) return false
    const wall = this.#clock.wall() - this.#provenAt.wall
    return wall >= 0 && wall < this.#settings.leaseMs
  }

  #open(id: string): Fill {
    const fill = { overtaken: false }
    const fills = this.#fills.get(id) ?? new Set()
    this.#fills.set(id, fills.add(fill))
    return fill
  }

  #shut(id: string, fill: Fill): void {
    const fills = this.#fills.get(id)
    fills?.delete(fill)
    if (fills?.size === 0) this.#fills.delete(id)
  }

  #keep(id: string, record: SessionRecord | undefined, fill: Fill): SessionRecord | undefined {
    if (record === undefined) this.#records.delete(id)
    // Without a watch nothing would ever invalidate it.
    if (record !== undefined && !fill.overtaken && this.#watch !== undefined && !this.#closed) this.#records.set(id, record)
    return record
  }

  async #start(): Promise<void> {
    const { watch } = this.#store
    if (watch === undefined || this.#closed) return
    try {
      const opened = await opening(watch.call(this.#store, id => this.forget(id)))
      // Closed while it was being set up, at a second try too: nobody else would ever close it.
      if (this.#closed) return await opened.close()
      this.#watch = opened
      // A read that is under way may have been sent before the watch began, which tells nothing of what happened between.
      this.#forgetAll()
      await this.#prove(opened)
      this.#schedule(this.#settings.leaseMs / PROOFS_PER_LEASE, () => this.#renew())
    } catch (cause) {
      await this.#lose(cause)
      throw cause
    }
  }

  /** One proof after the other: a late one delays the next, and the lease runs out meanwhile. */
  async #renew(): Promise<void> {
    const watch = this.#watch
    if (watch === undefined) return
    try {
      await this.#prove(watch)
      this.#schedule(this.#settings.leaseMs / PROOFS_PER_LEASE, () => this.#renew())
    } catch (cause) {
      await this.#lose(cause)
    }
  }

  async #prove(watch: Watch): Promise<void> {
    const asked = { monotonic: this.#clock.monotonic(), wall: this.#clock.wall() }
    const ms = Math.max(LATEST_PROOF.leases * this.#settings.leaseMs, LATEST_PROOF.ms)
    await within(ms, watch.prove(), `The watch proved nothing within ${ms} ms.`)
    if (watch !== this.#watch) return
    this.#provenAt = asked
    this.#retryMs = FIRST_RETRY_MS
    if (!this.#proving) this.#listener.proven()
    this.#proving = true
  }

  /** Drops everything before anything else: what the lost watch did not deliver is unknown. */
  async #lose(cause: unknown): Promise<void> {
    const watch = this.#watch
    this.#watch = undefined
    this.#proving = false
    this.#provenAt = { monotonic: Number.NEGATIVE_INFINITY, wall: Number.NEGATIVE_INFINITY }
    this.#forgetAll()
    if (!this.#closed) this.#retry(cause)
    await watch?.close().catch(() => {})
  }

  #retry(cause: unknown): void {
    this.#listener.lost(cause)
    this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS)
    this.#schedule(this.#retryMs * (0.5 + Math.random() / 2), () => this.#start().catch(() => {}))
  }

  #schedule(ms: number, act: () => Promise<void>): void {
    if (this.#closed) return
    this.#timer = setTimeout(() => void act(), ms).unref()
  }
}

/** The watch, or a failure. What comes after it was given up is closed: nobody else would. */
async function opening(watch: Promise<Watch>): Promise<Watch> {
  try {
    return await within(LATEST_WATCH_MS, watch, `The watch was not set up within ${LATEST_WATCH_MS} ms.`)
  } catch (cause) {
    watch.then(late => late.close()).catch(() => {})
    throw cause
  }
}
