import { deriveKey } from './crypto.ts'
import { aliveAmong, type Device, detailsOf, devicesOf, infoOf, type SessionDetails, type SessionInfo } from './devices.ts'
import { Engine } from './engine.ts'
import { CoatcheckError } from './errors.ts'
import type { SessionEventName, SessionEvents } from './events.ts'
import type { Exchange, RequestFacts } from './exchange.ts'
import { assertSignedIn } from './guard.ts'
import { normalizeUserId } from './identity.ts'
import type { LoginAttempt } from './login-attempt.ts'
import { type SessionsOptions, settingsFrom } from './options.ts'
import type { RequestExchange } from './request-exchange.ts'
import { ownerOf, type Session, type SessionOwner } from './session.ts'
import type { Bag, UserId } from './session-data.ts'
import type { SessionRequest } from './session-request.ts'
import type { MaybePromise } from './store.ts'

/** Which sessions of a person an act leaves alone. */
export interface ExceptOptions {
  /** The id of a session that goes on. */
  readonly except?: string
}

/** A page of `scan`. */
export interface SessionPage {
  readonly sessions: readonly SessionInfo[]
  /** Give it back as `after` for the next page; null when this was the last. */
  readonly next: string | null
}

/** Facts of a request that there is none of: for `read` and `issue`. */
const NO_FACTS: RequestFacts = Object.freeze({ secure: () => true, ip: () => undefined, userAgent: () => undefined })
const MOST_LISTED = 1000
/** Records that one list looks at, where many of them are over and not thrown away yet. */
const MOST_LOOKED_AT = 4 * MOST_LISTED
const PRUNE_EVERY_MS = 600_000
const PRUNE_BATCH = 1000
/** Batches in one go: what is left waits for the next time, so that a backlog never becomes a stall. */
const MOST_BATCHES = 100

/**
 * Everything about sessions that is not one request's: made once by `createSessions`, handed to the adapter's
 * `session()` and to whoever lists or ends sessions.
 */
export class Sessions {
  readonly #engine: Engine
  #pruneTimer: NodeJS.Timeout | undefined

  constructor(options: SessionsOptions) {
    this.#engine = new Engine(settingsFrom(options))
    if (this.#engine.settings.store.prune !== undefined) this.#prunePeriodically()
  }

  /**
   * For adapters: one request's exchange. Synchronous where the store's reads are.
   *
   * @param cookie the request's Cookie header; undefined if it has none
   * @throws CoatcheckError `STORE_UNAVAILABLE`, `FOREIGN_RECORD`: the request cannot be answered, as anybody
   */
  open(cookie: string | undefined, facts: RequestFacts): MaybePromise<Exchange> {
    return this.#engine.open(cookie, facts)
  }

  /** For adapters: the name of a cookie that both would set in a browser, one over the other's; undefined if there is none. */
  sharedCookie(other: Sessions): string | undefined {
    // What another copy of the package made says nothing of itself.
    if (!(#engine in other)) return undefined
    const [own, theirs] = [this.#engine.settings, other.#engine.settings]
    if (own.attributes.path !== theirs.attributes.path || own.attributes.domain !== theirs.attributes.domain) return undefined
    return [own.signedInCookie, own.visitCookie].find(name => name === theirs.signedInCookie || name === theirs.visitCookie)
  }

  /** Calls `listener` for each such event from now on; the returned function ends that. */
  on<Name extends SessionEventName>(name: Name, listener: (event: SessionEvents[Name]) => unknown): () => void {
    return this.#engine.events.on(name, listener)
  }

  /**
   * The marks of revocation as they are now, for a login whose credentials are about to be looked up. Give it to
   * `session.login(userId, { attempt })` within ten minutes: it then cannot outrun a `revokeUser` that came between.
   */
  attempt(userId: UserId): Promise<LoginAttempt> {
    return this.#engine.attempt(requiredId(userId))
  }

  /**
   * For layers above: the request that a session came with, whatever the framework.
   *
   * @throws CoatcheckError `NO_SESSION`
   */
  requestOf(session: Session): SessionRequest {
    return this.#owner(session).request
  }

  /**
   * For layers above: 256-bit keys for a purpose of their own, newest first, one for each secret (RFC 5869). What one
   * purpose's keys sign, no other's verify.
   *
   * @param purpose a name that nobody else uses
   */
  deriveKeys(purpose: string): readonly Buffer[] {
    return this.#engine.settings.secrets.map(secret => deriveKey(secret, `derived ${purpose}`))
  }

  /** Whether weaker settings need their name (law 12). */
  get production(): boolean {
    return this.#engine.settings.production
  }

  /**
   * The person's own sessions, this one first, then the latest seen (ASVS 5.0 7.5.2).
   *
   * @throws CoatcheckError `NOT_AUTHENTICATED`, `NOT_SUPPORTED`
   */
  async devices(session: Session): Promise<readonly Device[]> {
    const { id, userId } = await this.#signedIn(session)
    return devicesOf(await this.#alive(userId, MOST_LISTED), id)
  }

  /**
   * Ends one of the person's own sessions; false if there is none of this id. Their current one is logged out.
   *
   * @throws CoatcheckError `NOT_AUTHENTICATED`; `BAD_OPTION` for an id that is no text
   */
  async revokeDevice(session: Session, id: string): Promise<boolean> {
    const mayBe = mayBeSession(id, 'id')
    const own = await this.#signedIn(session)
    if (!mayBe) return false
    if (id !== own.id) return this.#end(id, own.userId)
    await session.logout()
    return true
  }

  /** Ends all of the person's sessions but this one; how many. */
  async revokeOthers(session: Session): Promise<number> {
    const { id, userId } = await this.#signedIn(session)
    return this.#revokeUser(userId, id)
  }

  /** A person's living sessions, newest first, at most `limit` (default and most 1000). */
  async list(userId: UserId, options: { readonly limit?: number } = {}): Promise<readonly SessionInfo[]> {
    const limit = pageSize(options.limit ?? MOST_LISTED)
    return (await this.#alive(requiredId(userId), limit)).map(infoOf)
  }

  /**
   * One living session with its data; undefined if there is none. Always a strict read.
   *
   * @throws CoatcheckError `BAD_OPTION` for an id that is no text
   */
  async get(id: string): Promise<SessionDetails | undefined> {
    if (!mayBeSession(id, 'id')) return undefined
    const record = await this.#engine.writer.ask('read', store => store.read(id))
    const [alive] = record === undefined ? [] : this.#aliveAmong([record])
    return alive && detailsOf(alive)
  }

  /**
   * Ends one session; false if there was none. Effective everywhere when it resolves (law 9).
   *
   * @throws CoatcheckError `BAD_OPTION` for an id that is no text
   */
  async revoke(id: string): Promise<boolean> {
    return mayBeSession(id, 'id') && this.#end(id)
  }

  /** Ends a person's sessions, and every login of theirs that is under way; how many sessions (ASVS 5.0 7.4.2, 7.4.5). */
  async revokeUser(userId: UserId, options: ExceptOptions = {}): Promise<number> {
    return this.#revokeUser(requiredId(userId), keptBy(options))
  }

  /** Ends every session of everybody, and every login under way, in one write (ASVS 5.0 7.4.5). */
  async revokeEveryone(options: ExceptOptions = {}): Promise<void> {
    const kept = keptBy(options)
    await this.#engine.writer.endEveryone(kept)
    this.#engine.events.emit('everyone.revoked', { kept: kept ?? null })
  }

  /** All living sessions, a page at a time (at most 1000); in any order, one may come twice. */
  async scan(options: { readonly after?: string | null; readonly limit?: number } = {}): Promise<SessionPage> {
    const limit = pageSize(options.limit ?? 100)
    if (options.after != null && !mayBePage(options.after)) return { sessions: [], next: null }
    const page = await this.#engine.writer.ask('scan', store => store.scan(options.after ?? null, limit))
    return { sessions: this.#aliveAmong(page.records).map(infoOf), next: page.next }
  }

  /** Throws dead records away, in batches; how many. It runs by itself every ten minutes or so. */
  async prune(): Promise<number> {
    let pruned = 0
    for (let batch = 0; batch < MOST_BATCHES; batch++) {
      const some = await this.#engine.writer.ask('prune', store => store.prune?.(this.#now, PRUNE_BATCH) ?? 0)
      pruned += some
      if (some < PRUNE_BATCH) break
    }
    return pruned
  }

  /**
   * The living session that a Cookie header names, with its data: for WebSocket upgrades and other places without a
   * response. Undefined if nobody's.
   *
   * @throws CoatcheckError `STORE_UNAVAILABLE`
   */
  async read(cookieHeader: string | undefined): Promise<SessionDetails | undefined> {
    const exchange = (await this.open(cookieHeader, NO_FACTS)) as RequestExchange
    return exchange.stored && detailsOf(exchange.stored)
  }

  /** Signs `userId` in without a request, and gives the Cookie header for it: for your own tests. */
  async issue(userId: UserId, data: Bag = {}): Promise<string> {
    const exchange = await this.open(undefined, NO_FACTS)
    Object.assign(exchange.session, data)
    await exchange.session.login(userId)
    const { setCookie } = await exchange.commit()
    return setCookie.map(line => line.slice(0, line.indexOf(';'))).join('; ')
  }

  /**
   * Resolves once the near cache's watch is proven, at once where there is none: await it at start-up to find out that
   * changes cannot be delivered (a transaction pooler before Postgres, say). Requests need not wait for it.
   *
   * @throws CoatcheckError `STORE_UNAVAILABLE`, or whatever the store said
   */
  async ready(): Promise<void> {
    await this.#engine.near?.ready.catch((cause: unknown) => Promise.reject(this.#engine.writer.failure('watch', cause)))
  }

  /**
   * Stops the timers, and closes what the store opened itself. Sessions that an outage left to be ended are ended first, if
   * the store answers within two seconds.
   */
  async close(): Promise<void> {
    clearTimeout(this.#pruneTimer)
    // A prune that is under way asks for it before it sets the next.
    this.#pruneTimer = undefined
    await this.#engine.writer.close()
    await this.#engine.near?.close()
    await this.#engine.settings.store.close?.()
  }

  get #now(): number {
    return this.#engine.settings.clock.now()
  }

  /** With jitter, so that a fleet started at once does not prune at once; it never holds the process. */
  #prunePeriodically(): void {
    const next = PRUNE_EVERY_MS * (0.5 + Math.random())
    this.#pruneTimer = setTimeout(() => void this.#pruneQuietly(), next).unref()
  }

  async #pruneQuietly(): Promise<void> {
    await this.prune().catch(() => {})
    if (this.#pruneTimer !== undefined) this.#prunePeriodically()
  }

  #aliveAmong(records: Parameters<typeof aliveAmong>[0]): ReturnType<typeof aliveAmong> {
    return aliveAmong(records, this.#engine.settings.clocks, this.#now)
  }

  /** A store counts what is over, too: where that leaves too few, more is asked for. */
  async #alive(userId: string, limit: number): Promise<ReturnType<typeof aliveAmong>> {
    for (let asked = limit; ; asked = Math.min(asked * 4, MOST_LOOKED_AT)) {
      const most = asked
      const records = await this.#engine.writer.ask('listByUser', store => store.listByUser(userId, most))
      const alive = this.#aliveAmong(records)
      if (alive.length >= limit || records.length < asked || asked === MOST_LOOKED_AT) return alive.slice(0, limit)
    }
  }

  async #end(id: string, userId?: string): Promise<boolean> {
    const ended = await this.#engine.writer.end(id, userId)
    if (ended) this.#engine.events.emit('session.ended', { id, userId: userId ?? null, reason: 'revoked' })
    return ended
  }

  async #revokeUser(userId: string, except: string | undefined): Promise<number> {
    const ids = await this.#engine.writer.endUser(userId, except)
    this.#engine.events.emit('user.revoked', { userId, ids, kept: except ?? null })
    return ids.length
  }

  #owner(session: Session): SessionOwner {
    const owner = ownerOf(session)
    if (owner.engine === this.#engine) return owner
    throw new CoatcheckError(
      'NO_SESSION',
      'This session belongs to another createSessions(). Ask the one whose middleware made it.',
    )
  }

  /** Who asks, by a strict read: a near cache may not yet know that this very session was ended. */
  async #signedIn(session: Session): Promise<{ readonly id: string; readonly userId: string }> {
    const owner = this.#owner(session)
    await owner.confirm()
    assertSignedIn(session)
    if (owner.id !== undefined && owner.signedInAs !== null && owner.userId === owner.signedInAs)
      return { id: owner.id, userId: owner.signedInAs }
    throw new CoatcheckError(
      'NOT_AUTHENTICATED',
      'The sign-in is not stored yet: await session.login(userId), or session.save(), first.',
    )
  }
}

/** At most 1000; what is no number of things is refused, for it may come out of a query string. */
function pageSize(limit: number): number {
  if (Number.isSafeInteger(limit) && limit > 0) return Math.min(limit, MOST_LISTED)
  throw new CoatcheckError('BAD_OPTION', `limit must be a whole number above 0; got ${String(limit)}.`)
}

/** As `Tokens.newId` makes them. */
const SESSION_ID = /^[\w-]{22}$/
/** Whatever a store makes of its place in a scan. */
const PLACE = /^[\x21-\x7e]{1,200}$/

/**
 * Looked at before any store is asked: what a request brought as an id and can be none is nobody's, and no outage of a
 * backend that chokes on it (law 7).
 */
function mayBeSession(id: unknown, name: string): boolean {
  return SESSION_ID.test(requiredText(id, name))
}

function mayBePage(after: unknown): boolean {
  return PLACE.test(requiredText(after, 'after'))
}

function requiredText(id: unknown, name: string): string {
  if (typeof id === 'string') return id
  throw new CoatcheckError(
    'BAD_OPTION',
    `${name} must be a session's id, which is a text; got ${id === null ? 'null' : typeof id}.`,
  )
}

function keptBy({ except }: ExceptOptions): string | undefined {
  return except !== undefined && mayBeSession(except, 'except') ? except : undefined
}

function requiredId(userId: unknown): string {
  const id = normalizeUserId(userId)
  if (id !== null) return id
  throw new CoatcheckError('BAD_IDENTITY', 'A user id is needed here; got nothing.')
}

/**
 * Makes the sessions of one application.
 *
 * ```ts
 * const sessions = createSessions({ store: sqliteStore('sessions.db'), secret: process.env.SESSION_SECRET })
 * ```
 *
 * @throws CoatcheckError `BAD_OPTION` at once, for anything missing, malformed, or too weak for production
 */
export function createSessions(options: SessionsOptions): Sessions {
  return new Sessions(options)
}
