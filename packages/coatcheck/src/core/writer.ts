import { Doomed } from './doomed.ts'
import { CoatcheckError, isCoatcheckError } from './errors.ts'
import type { Emitter, SessionEvents } from './events.ts'
import { marksOf } from './login-attempt.ts'
import type { NearCache } from './near-cache.ts'
import type { Settings } from './options.ts'
import { forgetAt, isExpired } from './policy.ts'
import type { SessionRecord } from './record.ts'
import type { Marks, SessionStore } from './store.ts'
import type { MintedToken, Tokens } from './token.ts'
import { Turns } from './turns.ts'

/** A record to be born: all but what birth itself decides. */
export type Draft = Omit<SessionRecord, 'id' | 'version' | 'tokenHash' | 'userEpoch' | 'generation'>

/** A record as it was written, and its token where the write made one. */
export interface Written {
  readonly record: SessionRecord
  readonly token?: MintedToken
}

/** What to write over a record: called again on what somebody else has stored meanwhile, so it must only read `base`. */
export type Edit = (base: SessionRecord) => Partial<Omit<SessionRecord, 'id' | 'version' | 'tokenHash'>>

type Replaced = Awaited<ReturnType<SessionStore['replace']>>

/** Why a change found no place to go. */
export type Unwritten = 'gone' | 'superseded' | 'refused'

/** What the writes of one session leave to those that wait for them: the record as it was stored last. */
interface Left {
  latest: SessionRecord | undefined
}

/** Tries against other processes before `SESSION_CONFLICT`. With the waits between them about two seconds. */
const MOST_TRIES = 24
const LONGEST_WAIT_MS = 120
/** Saves of one session wait for each other, each with its request and its data; a client has long given up by then. */
const TURNS = { most: 500, longestMs: 10_000 }

/**
 * How a change gets into the store: one after another in this process, by compare-and-set across processes, as the same
 * write again when a reply was lost. Laws 2, 3 and 6 are kept here.
 */
export class Writer {
  readonly #store: SessionStore
  readonly #near: NearCache | undefined
  readonly #settings: Settings
  readonly #tokens: Tokens
  readonly #events: Emitter<SessionEvents>
  readonly #turns = new Turns<Left>(TURNS, () => ({ latest: undefined }))
  readonly #doomed: Doomed

  constructor(settings: Settings, tokens: Tokens, events: Emitter<SessionEvents>, near: NearCache | undefined) {
    this.#store = settings.store
    this.#near = near
    this.#settings = settings
    this.#tokens = tokens
    this.#events = events
    this.#doomed = new Doomed(id => this.write(id, 'delete', store => store.delete(id)), events)
  }

  /** Calls the store, and turns whatever it throws into an error of ours. */
  async ask<Result>(operation: keyof SessionStore, call: (store: SessionStore) => Result | Promise<Result>): Promise<Result> {
    try {
      return await call(this.#store)
    } catch (cause) {
      throw this.failure(operation, cause)
    }
  }

  /** Asks for a write of one record. Whatever comes of it, this process's own copy no longer counts. */
  async write<Result>(
    id: string,
    operation: keyof SessionStore,
    call: (store: SessionStore) => Promise<Result>,
  ): Promise<Result> {
    try {
      return await this.ask(operation, call)
    } finally {
      this.#near?.forget(id)
    }
  }

  /** Ends a person's sessions, and their logins under way. */
  async endUser(userId: string, except: string | undefined): Promise<readonly string[]> {
    try {
      return await this.ask('revokeUser', store => store.revokeUser(userId, except))
    } finally {
      this.#near?.forget(null)
    }
  }

  /** Ends every session, and every login under way. */
  async endEveryone(except: string | undefined): Promise<void> {
    try {
      await this.ask('revokeEveryone', store => store.revokeEveryone(except))
    } finally {
      this.#near?.forget(null)
    }
  }

  /** The typed error for what a store threw; told to listeners. */
  failure(operation: keyof SessionStore, cause: unknown): CoatcheckError {
    const error = isCoatcheckError(cause)
      ? cause
      : new CoatcheckError(
          'STORE_UNAVAILABLE',
          `The ${this.#store.name} store failed on ${operation}. Nobody is signed in or out by that; try again.`,
          {
            cause,
            retryAfter: 1,
          },
        )
    this.#events.emit('store.failed', { operation, error })
    return error
  }

  /**
   * Creates a record. A visitor's is tied to the marks of now; a person's to `marks`, which are as old as the check of
   * the credentials.
   */
  async birth(draft: Draft, marks?: Marks): Promise<Written | 'refused'> {
    let current = marks ?? (await this.ask('marks', store => store.marks(draft.userId)))
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const token = this.#tokens.mint(this.#tokens.newId())
      const record = Object.freeze({ ...draft, ...marksOf(current), id: token.id, version: 1, tokenHash: token.tokenHash })
      const outcome = await this.#createOnce(record, tries > 0)
      if (outcome === 'created') return { record, token }
      if (outcome !== 'refused') continue
      if (draft.userId !== null) return 'refused'
      current = await this.ask('marks', store => store.marks(null))
    }
    throw conflict()
  }

  /** A create whose reply was lost is not repeated: the first may have landed, and its token is nobody's. */
  async #createOnce(record: SessionRecord, again: boolean): Promise<'created' | 'taken' | 'refused'> {
    try {
      return await this.ask('create', store => store.create(record, this.#forgetAt(record)))
    } catch (error) {
      if (!isOutage(error)) throw error
      if (!surelyNotDone(error)) this.#doomed.addBirth(record.id)
      if (again) throw error
      return 'taken'
    }
  }

  /**
   * Changes a record, whatever others do to it meanwhile.
   *
   * @param base the record as this request read it
   * @param presentedHash the hash of the token that the request came with: once it is no longer the record's, nothing
   *   is written (law 1)
   * @param rotation the new token, if the change rotates
   */
  change(base: SessionRecord, presentedHash: string, edit: Edit, rotation?: MintedToken): Promise<Written | Unwritten> {
    return this.#turns.take(base.id, left => this.#change(left, base, presentedHash, edit, rotation))
  }

  async #change(
    left: Left,
    base: SessionRecord,
    presentedHash: string,
    edit: Edit,
    rotation?: MintedToken,
  ): Promise<Written | Unwritten> {
    let current: SessionRecord | undefined = newer(left.latest, base)
    for (let tries = 0; ; tries++) {
      if (current === undefined || this.#isDead(current)) return 'gone'
      if (rotation !== undefined && current.tokenHash === rotation.tokenHash) return this.#written(left, current, rotation)
      if (current.tokenHash !== presentedHash) return 'superseded'
      if (tries === MOST_TRIES) throw conflict()
      const next = edited(current, edit, rotation)
      const outcome = await this.#replace(next, rotation !== undefined)
      if (outcome === 'saved') return this.#written(left, next, rotation)
      if (outcome === 'gone' || outcome === 'refused') return outcome
      if (tries > 0) await pause(waitMs(tries))
      current = await this.#readAgain(next, outcome === 'unsure' && rotation !== undefined)
    }
  }

  /** What somebody else has stored. A rotation that may have landed, where that cannot be found out, ends the session (law 6). */
  async #readAgain(tried: SessionRecord, mayHaveRotated: boolean): Promise<SessionRecord | undefined> {
    try {
      return await this.ask('read', store => store.read(tried.id))
    } catch (error) {
      if (mayHaveRotated) await this.endUnknown(tried)
      throw error
    }
  }

  #written(left: Left, record: SessionRecord, token: MintedToken | undefined): Written {
    left.latest = record
    return token === undefined ? { record } : { record, token }
  }

  #isDead(record: SessionRecord): boolean {
    return isExpired(record, this.#settings.clocks, this.#settings.clock.now())
  }

  #forgetAt(record: SessionRecord): number {
    return forgetAt(record, this.#settings.clocks)
  }

  /**
   * The same write again if the reply was lost; a rotation whose outcome stays unknown ends the session (law 6). 'unsure' is
   * a conflict with anybody's later write, or our own first try and then another's.
   */
  async #replace(next: SessionRecord, rotates: boolean): Promise<Replaced | 'unsure'> {
    let mayHaveLanded = false
    const write = async () => {
      try {
        return await this.write(next.id, 'replace', store => store.replace(next, this.#forgetAt(next)))
      } catch (error) {
        mayHaveLanded ||= !surelyNotDone(error)
        throw error
      }
    }
    try {
      return await write().catch((error: unknown) => (isOutage(error) ? repeated(write) : Promise.reject(error)))
    } catch (error) {
      if (rotates && mayHaveLanded) await this.endUnknown(next)
      throw error
    }
  }

  /** Ends a session that was born and is not handed out: now if the store answers, else as soon as it does. */
  async abandon(id: string): Promise<void> {
    this.#doomed.addBirth(id)
    await this.endIfDoomed(id).catch(() => {})
  }

  /** Ends a session of which it is not known which token counts: the old one must not go on (law 6). */
  async endUnknown(record: SessionRecord): Promise<void> {
    this.#doomed.addRotation(record)
    await this.endIfDoomed(record.id).catch(() => {})
  }

  /** Ends a session; a lost reply is asked again. True if there was one. */
  async end(id: string, userId?: string): Promise<boolean> {
    const remove = () => this.write(id, 'delete', store => store.delete(id, userId))
    return remove().catch((error: unknown) => (isOutage(error) ? remove() : Promise.reject(error)))
  }

  /** True while this process still has to end the session of this id. */
  isDoomed(id: string): boolean {
    return this.#doomed.has(id)
  }

  /** Ends a doomed session now. Throws as long as the store does not answer. */
  endIfDoomed(id: string): Promise<void> {
    return this.#doomed.end(id)
  }

  /** Ends what is still to be ended, if the store answers within seconds. */
  close(): Promise<void> {
    return this.#doomed.close()
  }
}

/** After a try whose reply was lost: it may be that itself which this one meets. */
async function repeated(write: () => Promise<Replaced>): Promise<Replaced | 'unsure'> {
  await pause(LONGEST_WAIT_MS / 4)
  const outcome = await write()
  return outcome === 'conflict' ? 'unsure' : outcome
}

function newer(latest: SessionRecord | undefined, base: SessionRecord): SessionRecord {
  return latest !== undefined && latest.version > base.version ? latest : base
}

function edited(base: SessionRecord, edit: Edit, rotation: MintedToken | undefined): SessionRecord {
  const fields = edit(base)
  return Object.freeze({
    ...base,
    ...fields,
    lastSeenAt: Math.max(base.lastSeenAt, fields.lastSeenAt ?? 0),
    version: base.version + 1,
    tokenHash: rotation?.tokenHash ?? base.tokenHash,
  })
}

function isOutage(error: unknown): boolean {
  return isCoatcheckError(error) && error.code === 'STORE_UNAVAILABLE'
}

function surelyNotDone(error: unknown): boolean {
  return isCoatcheckError(error) && error.notDone
}

function conflict(): CoatcheckError {
  return new CoatcheckError(
    'SESSION_CONFLICT',
    'Other processes kept changing this session. Nothing of this request was saved; try again.',
    { retryAfter: 1 },
  )
}

/** Full jitter, growing: those who lost a race do not meet again at once. */
function waitMs(tries: number): number {
  return Math.random() * Math.min(LONGEST_WAIT_MS, 2 ** tries)
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
