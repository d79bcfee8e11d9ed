import { type Clock, systemClock } from '../core/clock.ts'
import { randomText } from '../core/crypto.ts'
import { CoatcheckError } from '../core/errors.ts'
import type { SessionRecord } from '../core/record.ts'
import { EPOCH_KEPT_MS, type Marks, type SessionStore } from '../core/store.ts'
import { judgeReplace, mayBegin } from './rules.ts'

export interface MemoryStoreOptions {
  /** Most sessions kept at once; 100,000 unless given. Above it the ones to be forgotten soonest make room. */
  readonly max?: number
  /** Where the time comes from that decides what may be forgotten. */
  readonly clock?: Clock
}

interface Entry {
  readonly record: SessionRecord
  readonly forgetAt: number
  /** Rises with each create, so that a scan can go on where it stopped. */
  readonly order: number
}

const DEFAULT_MAX = 100_000
const MARK_BYTES = 9
/** Entries that each create looks at for something to forget: above 1, so that forgetting outruns growing. */
const SWEPT_PER_CREATE = 4
/** Entries that are compared when room has to be made. */
const COMPARED = 16

/**
 * Sessions in this process's memory: for development and tests. A restart signs everybody out, and a second process
 * knows nothing of them, so production refuses it unless it is named.
 *
 * Bounded (law 11): a full store drops a living session and says so with one process warning. What may be forgotten is
 * forgotten as new sessions come; no timer runs.
 *
 * @throws CoatcheckError `BAD_OPTION` unless `max` is a whole number above zero
 */
export function memoryStore(options: MemoryStoreOptions = {}): SessionStore {
  const { max = DEFAULT_MAX, clock = systemClock } = options
  if (!Number.isSafeInteger(max) || max < 1) {
    throw new CoatcheckError('BAD_OPTION', `memoryStore: max must be a whole number of sessions above 0; got ${String(max)}.`)
  }

  const entries = new Map<string, Entry>()
  const idsOf = new Map<string, Set<string>>()
  const epochs = new Map<string, { readonly epoch: string; readonly setAt: number }>()
  let generation = randomText(MARK_BYTES)
  let order = 0
  let hand = entries.entries()
  let warned = false

  function marksOf(userId: string | null): Marks {
    return { generation, userEpoch: userId === null ? '' : (epochs.get(userId)?.epoch ?? '') }
  }

  function put(entry: Entry): void {
    const { id, userId } = entry.record
    unfile(id)
    entries.set(id, entry)
    if (userId !== null) idsOf.set(userId, (idsOf.get(userId) ?? new Set()).add(id))
  }

  function drop(id: string): boolean {
    unfile(id)
    return entries.delete(id)
  }

  function unfile(id: string): void {
    const userId = entries.get(id)?.record.userId
    const ids = userId == null ? undefined : idsOf.get(userId)
    if (userId == null || !ids?.delete(id) || ids.size > 0) return
    idsOf.delete(userId)
  }

  /** The next entries of an endless walk through the map, which tolerates what is put and dropped meanwhile. */
  function* walk(steps: number): Generator<[string, Entry]> {
    for (let step = 0; step < steps; step++) {
      const next = hand.next()
      if (next.done) hand = entries.entries()
      else yield next.value
    }
  }

  function sweep(now: number): void {
    for (const [id, entry] of walk(SWEPT_PER_CREATE)) if (entry.forgetAt < now) drop(id)
    forgetEpochs(now)
  }

  function forgetEpochs(now: number): void {
    for (const [userId, { setAt }] of epochs) {
      if (setAt >= now - EPOCH_KEPT_MS) return
      epochs.delete(userId)
    }
  }

  function makeRoom(): void {
    if (entries.size < max) return
    const [soonest] = [...walk(COMPARED)].sort(([, a], [, b]) => a.forgetAt - b.forgetAt)
    // The walk may have ended just now; the first entry is as good.
    const id = soonest?.[0] ?? entries.keys().next().value
    if (id !== undefined && drop(id)) warnOnce()
    makeRoom()
  }

  function warnOnce(): void {
    if (warned) return
    warned = true
    process.emitWarning(
      `memoryStore is full (${max} sessions): it drops living sessions from now on. Raise max, or use a store that is not memory.`,
      'CoatcheckWarning',
    )
  }

  function idsOfUser(userId: string): readonly string[] {
    return [...(idsOf.get(userId) ?? [])]
  }

  return {
    name: 'memory',
    developmentOnly: true,
    cannot: { watch: 'the memory store lives in one process, where a read is already as cheap as a cached one' },

    read: id => entries.get(id)?.record,

    async create(record, forgetAt) {
      if (entries.has(record.id)) return 'taken'
      if (!mayBegin(record, marksOf(record.userId))) return 'refused'
      sweep(clock.now())
      makeRoom()
      put({ record: frozen(record, record.lastSeenAt), forgetAt, order: ++order })
      return 'created'
    },

    async replace(record, forgetAt) {
      const stored = entries.get(record.id)
      if (stored === undefined) return 'gone'
      const judgement = judgeReplace(stored.record, record, marksOf(record.userId))
      if (judgement === 'repeated') return 'saved'
      if (judgement !== 'write') return judgement
      const lastSeenAt = Math.max(stored.record.lastSeenAt, record.lastSeenAt)
      put({ ...stored, record: frozen(record, lastSeenAt), forgetAt: Math.max(stored.forgetAt, forgetAt) })
      return 'saved'
    },

    async touch(id, lastSeenAt, forgetAt) {
      const stored = entries.get(id)
      if (stored === undefined || stored.record.lastSeenAt >= lastSeenAt) return
      entries.set(id, { ...stored, record: frozen(stored.record, lastSeenAt), forgetAt: Math.max(stored.forgetAt, forgetAt) })
    },

    async delete(id, userId) {
      const stored = entries.get(id)
      if (stored === undefined || (userId !== undefined && stored.record.userId !== userId)) return false
      return drop(id)
    },

    async listByUser(userId, limit) {
      const records = idsOfUser(userId).flatMap(id => entries.get(id)?.record ?? [])
      return records.sort((a, b) => b.createdAt - a.createdAt).slice(0, limit)
    },

    async marks(userId) {
      return marksOf(userId)
    },

    async revokeUser(userId, except) {
      // Deleted first, so that the map stays in the order of time, in which `sweep` forgets.
      epochs.delete(userId)
      epochs.set(userId, { epoch: randomText(MARK_BYTES), setAt: clock.now() })
      return idsOfUser(userId).filter(id => id !== except && drop(id))
    },

    async revokeEveryone(except) {
      const kept = except === undefined ? undefined : entries.get(except)
      generation = randomText(MARK_BYTES)
      entries.clear()
      idsOf.clear()
      if (kept === undefined) return
      put({ ...kept, record: Object.freeze({ ...kept.record, generation, version: kept.record.version + 1 }) })
    },

    async scan(after, limit) {
      const records: SessionRecord[] = []
      for (const entry of entries.values()) {
        if (entry.order <= Number(after)) continue
        records.push(entry.record)
        if (records.length >= limit) return { records, next: String(entry.order) }
      }
      return { records, next: null }
    },

    async prune(before, limit) {
      forgetEpochs(clock.now())
      let pruned = 0
      for (const [id, entry] of entries) {
        if (pruned >= limit) break
        if (entry.forgetAt < before && drop(id)) pruned++
      }
      return pruned
    },
  }
}

function frozen(record: SessionRecord, lastSeenAt: number): SessionRecord {
  return Object.freeze({ ...record, lastSeenAt })
}
