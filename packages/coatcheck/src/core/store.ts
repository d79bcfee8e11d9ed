import type { SessionRecord } from './record.ts'

export type MaybePromise<T> = T | Promise<T>

/** What a login must find unchanged when it lands. Both are random text; '' is "no epoch set", never a missing generation. */
export interface Marks {
  /** Set anew by `revokeUser`; '' where none was set in the last ten minutes. */
  readonly userEpoch: string
  /** Set anew by `revokeEveryone`. */
  readonly generation: string
}

/** A page of `scan`. `next` continues it; null when it is done. */
export interface ScanPage {
  readonly records: readonly SessionRecord[]
  readonly next: string | null
}

/** A running `watch`. */
export interface Watch {
  /** Resolves once every change that was acknowledged before this call has been delivered; rejects if that cannot be known. */
  prove(): Promise<void>
  close(): Promise<void>
}

/**
 * Where session records rest. The comments here are the law: `coatcheck/testing` holds every store to them.
 *
 * - A store judges no expiry: core does (law 8). `forgetAt` (milliseconds since the epoch) is when the record may be
 *   thrown away; a store may keep it longer, never shorter.
 * - Every method throws (rejects) only if the backend failed or holds what is not ours: a `CoatcheckError` with
 *   `STORE_UNAVAILABLE` or `FOREIGN_RECORD`, the driver's error as its cause; a record above the backend's own limit is
 *   `SESSION_TOO_LARGE`, what it `cannot` do `NOT_SUPPORTED`. What is missing is an answer, not an error.
 * - Where the store knows that a failed write did not happen, and will not, its error says `notDone`. Any other may have landed:
 *   then core ends a session whose rotation it was, for else its old token could go on (law 6).
 * - A record given to a store is frozen; a record that a store gives is frozen too, or a fresh copy.
 * - An acknowledged write is seen by every later call, through any process.
 */
export interface SessionStore {
  /** For messages and metrics: 'memory', 'sqlite', … */
  readonly name: string
  /** The weaker setting that this store stands for in production, if any: refused there unless named (law 12). */
  readonly developmentOnly?: boolean

  /** The record under this id; undefined if there is none, or if it is of another generation than the current one. */
  read(id: string): MaybePromise<SessionRecord | undefined>

  /**
   * The only way a record comes to be. 'taken' if the id exists (nothing changes). 'refused' if `record.generation` is
   * not the current one or, with a `userId`, `record.userEpoch` is not the user's current epoch.
   */
  create(record: SessionRecord, forgetAt: number): Promise<'created' | 'taken' | 'refused'>

  /**
   * Save and rotate alike. 'saved' iff the stored version is `record.version - 1`; then the stored record is this one,
   * but `lastSeenAt` is the greater of both. 'conflict' if another version is stored, 'gone' if none is (never creates)
   * or if it is of another generation. Repeating the same call (same version, tokenHash, userId and data) is 'saved'.
   * A `userId` other than the stored one meets create's rule: 'refused' if epoch or generation are not current.
   */
  replace(record: SessionRecord, forgetAt: number): Promise<'saved' | 'conflict' | 'gone' | 'refused'>

  /** Only raises `lastSeenAt` (and then `forgetAt`); the version stays; missing is no error; never creates. */
  touch(id: string, lastSeenAt: number, forgetAt: number): Promise<void>

  /** True if a record was deleted. With `userId`: only if the record is theirs. */
  delete(id: string, userId?: string): Promise<boolean>

  /** The user's records, newest `createdAt` first, at most `limit`; those of a dead generation are not among them. */
  listByUser(userId: string, limit: number): Promise<readonly SessionRecord[]>

  /** The marks as they are now. With null: of nobody (`userEpoch` is ''). Makes the first generation where there is none. */
  marks(userId: string | null): Promise<Marks>

  /**
   * Sets a new random epoch (kept for ten minutes at least), ends the user's sessions but `except` (which must be
   * theirs to survive), gives the ids that it ended. Once resolved none of them is readable and none begun before is
   * creatable. An id leaves the user's index only after its record is gone, so that a crash half-way can be finished.
   */
  revokeUser(userId: string, except?: string): Promise<readonly string[]>

  /**
   * One write at any size: sets a new random generation, so that every record of another one is missing from now on.
   * `except` is carried over to the new generation with its version raised by one. Absence of the mark means dead.
   */
  revokeEveryone(except?: string): Promise<void>

  /**
   * Every live-generation record, in any order; may repeat; misses none alive throughout. A page has at most `limit`, or
   * a few more where the backend hands them out by buckets.
   */
  scan(after: string | null, limit: number): Promise<ScanPage>

  /** Throws away at most `limit` records whose `forgetAt` is below `before` (and what is left of dead generations); how many. */
  prune?(before: number, limit: number): Promise<number>

  /**
   * Calls back for every change of a record by anyone: its id, or null for "everything". It may leave touches out, and
   * may call more often than needed. Whatever was or may have been missed (a reconnection, another topology) is called
   * as null before the next proof. Rejects if changes cannot be delivered: it must have seen one of its own arrive.
   */
  watch?(changed: (id: string | null) => void): Promise<Watch>

  /** Closes only what the store opened itself; an injected client is the user's. */
  close?(): Promise<void>

  /** What this store cannot do, each with its reason. The method then rejects with `NOT_SUPPORTED`. */
  readonly cannot?: { readonly listByUser?: string; readonly scan?: string; readonly watch?: string }
}

/** How long a user's epoch is kept, and so how old a login's marks may be at most: ten minutes. */
export const EPOCH_KEPT_MS = 600_000
