import { findToken } from './cookie.ts'
import { equalHash } from './crypto.ts'
import { CoatcheckError } from './errors.ts'
import { Emitter, type SessionEvents } from './events.ts'
import type { Exchange, RequestFacts } from './exchange.ts'
import { isAsBefore, remember } from './last-look.ts'
import { checkedAttempt, type LoginAttempt } from './login-attempt.ts'
import { NearCache, type NearCacheListener } from './near-cache.ts'
import type { Settings } from './options.ts'
import { forgetAt, isExpired, settledUntil, touchIsDue } from './policy.ts'
import { RecentMap } from './recent-map.ts'
import type { SessionRecord } from './record.ts'
import { NOTHING_PRESENTED, RequestExchange } from './request-exchange.ts'
import type { MaybePromise } from './store.ts'
import { type Token, Tokens } from './token.ts'
import { Writer } from './writer.ts'

/** What a token came to when its record was read: the living record, a replaced secret, or nothing alive. */
export type Judged = SessionRecord | 'superseded' | undefined

/** The token of a Cookie header that counts: the signed-in one, or else the visitor's. */
interface Found {
  readonly header: string
  readonly token: Token
  readonly asVisitor: boolean
}

/** Cookie headers of a moment ago that held a signed-in token: in those nothing has to be looked for. */
const MOST_HEADERS = 10_000
/** Longer ones are not kept. */
const LONGEST_HEADER = 512
/** An entry is of use for as long as a read takes that looked before the touch and is answered after it. */
const MOST_TOUCHES = 10_000
const NEVER_TOUCHED = Object.freeze({ at: Number.NEGATIVE_INFINITY })
/** Beyond the cap so many are looked at in one go; more is left to the next login. */
const MOST_EVICTED = 100

/** The parts that every request works with, and the way from a Cookie header to an exchange. */
export class Engine {
  readonly settings: Settings
  readonly events = new Emitter<SessionEvents>()
  readonly tokens: Tokens
  readonly writer: Writer
  /** undefined where every read is strict. */
  readonly near: NearCache | undefined
  readonly #headers = new RecentMap<Token>(MOST_HEADERS)
  /** When a use was last written down, or is being, by id: a parallel request need not write it again. */
  readonly #touches = new RecentMap<{ readonly at: number }>(MOST_TOUCHES)
  #warnedUnsendable = false

  constructor(settings: Settings) {
    this.settings = settings
    this.tokens = new Tokens(settings.secrets)
    this.near = settings.nearCache && new NearCache(settings.store, settings.nearCache, this.#nearListener())
    this.writer = new Writer(settings, this.tokens, this.events, this.near)
  }

  #nearListener(): NearCacheListener {
    const store = this.settings.store.name
    return {
      proven: () => this.events.emit('near-cache.proven', { store }),
      lost: cause => this.events.emit('near-cache.lost', { store, cause }),
    }
  }

  /** Synchronous where the store's `read` is, so that a signed-in request costs no promise. */
  open(cookie: string | undefined, facts: RequestFacts): MaybePromise<Exchange> {
    const now = this.settings.clock.now()
    if (cookie === undefined) return new RequestExchange(this, facts, NOTHING_PRESENTED, now, cookie)
    const signedIn = this.#signedInIn(cookie)
    const token = signedIn ?? this.visitorIn(cookie)
    if (token === undefined) return new RequestExchange(this, facts, NOTHING_PRESENTED, now, cookie)
    const asVisitor = signedIn === undefined
    const judged = this.#judge(token, now)
    if (!isPromise(judged) && this.#isSettled(token, judged, now)) {
      return new RequestExchange(this, facts, { judged, token, asVisitor }, now, cookie)
    }
    return this.#openSlowly(facts, now, judged, { header: cookie, token, asVisitor })
  }

  /** Alive, and nothing to write down: the case of nearly every request. For records that this process keeps. */
  #isSettled(token: Token, judged: Judged, now: number): boolean {
    if (isAsBefore(token, judged, now)) return true
    if (typeof judged !== 'object' || !this.#needsNoTouch(judged, now)) return false
    remember(token, judged, settledUntil(judged, this.settings.clocks))
    return true
  }

  #needsNoTouch(judged: Judged, now: number): boolean {
    return typeof judged === 'object' && !touchIsDue(judged, this.settings.clocks, now)
  }

  async #openSlowly(facts: RequestFacts, now: number, first: MaybePromise<Judged>, found: Found): Promise<Exchange> {
    const { header } = found
    let { token, asVisitor } = found
    let judged = await first
    const visit = judged === undefined && !asVisitor ? this.visitorIn(header) : undefined
    if (visit !== undefined) {
      token = visit
      asVisitor = true
      judged = await this.#judge(token, now)
    }
    if (judged === 'superseded') this.noticeSuperseded(token.id, null, facts)
    if (judged === undefined) return new RequestExchange(this, facts, NOTHING_PRESENTED, now, header)
    return new RequestExchange(this, facts, { judged: await this.#touched(judged, now), token, asVisitor }, now, header)
  }

  /** The signed-in token of a Cookie header. */
  #signedInIn(header: string): Token | undefined {
    const name = this.settings.signedInCookie
    if (header.length > LONGEST_HEADER) return this.#find(header, name)
    return this.#headers.get(header) ?? this.#found(header, this.#find(header, name))
  }

  #found(header: string, token: Token | undefined): Token | undefined {
    if (token !== undefined) this.#headers.set(header, token)
    return token
  }

  /** The visitor's token of a Cookie header. Beside a living signed-in one it is nobody's business but a login's. */
  visitorIn(header: string): Token | undefined {
    return this.#find(header, this.settings.visitCookie)
  }

  /** The verified token under one name; a planted second one makes both worthless. */
  #find(header: string, name: string): Token | undefined {
    const found = findToken(header, name, this.tokens)
    if (found !== 'ambiguous') return found
    this.events.emit('cookie.ambiguous', { name })
    return undefined
  }

  /** What the token comes to now, by a strict read. */
  judge(token: Token): MaybePromise<Judged> {
    return this.#judgeStrictly(token, this.settings.clock.now())
  }

  /** A near record only ever says yes, and only without any doubt: else the store is asked. */
  #judge(token: Token, now: number): MaybePromise<Judged> {
    const near = this.near?.get(token.id)
    if (near === undefined || this.writer.isDoomed(token.id)) return this.#judgeStrictly(token, now)
    const judged = this.#verdict(token, near, now)
    return this.#needsNoTouch(judged, now) ? judged : this.#judgeStrictly(token, now)
  }

  #judgeStrictly(token: Token, now: number): MaybePromise<Judged> {
    if (this.writer.isDoomed(token.id)) return this.writer.endIfDoomed(token.id).then(() => undefined)
    const read = this.#read(token.id)
    if (isPromise(read)) return read.then(record => this.#verdict(token, record, now))
    return this.#verdict(token, read, now)
  }

  #verdict(token: Token, record: SessionRecord | undefined, now: number): Judged {
    if (isAsBefore(token, record, now)) return record
    if (record === undefined || isExpired(record, this.settings.clocks, now)) return undefined
    return this.#isCurrent(token, record) ? record : 'superseded'
  }

  /** Compared in constant time once; a token that was right is then recognised by the hash that it was right for. */
  #isCurrent(token: Token, record: SessionRecord): boolean {
    if (token.proven !== undefined && record.tokenHash === token.proven) return true
    if (!equalHash(record.tokenHash, token.tokenHash)) return false
    token.proven = record.tokenHash
    return true
  }

  #read(id: string): MaybePromise<SessionRecord | undefined> {
    try {
      const read = (this.near ?? this.settings.store).read(id)
      if (!isPromise(read)) return read
      return read.catch((cause: unknown) => Promise.reject(this.writer.failure('read', cause)))
    } catch (cause) {
      throw this.writer.failure('read', cause)
    }
  }

  /**
   * Writes the use down if it is due. A touch that fails is told and tried again by the next request: the session is
   * known to be alive, and an outage must not sign anybody out (law 6).
   */
  async #touched(judged: Judged, now: number): Promise<Judged> {
    if (typeof judged !== 'object' || this.#needsNoTouch(judged, now) || this.#wasTouched(judged.id, now)) return judged
    const seen = Object.freeze({ ...judged, lastSeenAt: now })
    this.#touches.set(seen.id, { at: now })
    return this.writer
      .write(seen.id, 'touch', store => store.touch(seen.id, now, forgetAt(seen, this.settings.clocks)))
      .then(
        () => seen,
        () => {
          this.#touches.set(seen.id, NEVER_TOUCHED)
          return judged
        },
      )
  }

  #wasTouched(id: string, now: number): boolean {
    const touch = this.#touches.get(id)
    return touch !== undefined && now - touch.at < this.settings.clocks.touchEveryMs
  }

  /** The attempt that was made before the credentials were looked up; without one, the marks of now. */
  async attempt(userId: string, given?: LoginAttempt): Promise<LoginAttempt> {
    const madeAt = this.settings.clock.now()
    if (given !== undefined) return checkedAttempt(given, userId, madeAt)
    const { userEpoch, generation } = await this.writer.ask('marks', store => store.marks(userId))
    return Object.freeze({ userId, userEpoch, generation, madeAt })
  }

  /**
   * The JSON text, if it is within `maxDataBytes`.
   *
   * @throws CoatcheckError `SESSION_TOO_LARGE`
   */
  checkSize(data: string): string {
    const bytes = Buffer.byteLength(data)
    if (bytes <= this.settings.maxDataBytes) return data
    throw new CoatcheckError(
      'SESSION_TOO_LARGE',
      `The session's data is ${bytes} bytes of JSON, above maxDataBytes (${this.settings.maxDataBytes}). Nothing was saved. Keep large things in your database and their ids in the session.`,
    )
  }

  /** Ends a person's oldest sessions beyond the cap. The login has landed: a failure here is told, and left to the next. */
  async endOldest(userId: string, keep: string): Promise<void> {
    const cap = this.settings.maxSessionsPerUser
    if (cap === undefined) return
    const now = this.settings.clock.now()
    const listed = await this.writer.ask('listByUser', store => store.listByUser(userId, cap + MOST_EVICTED)).catch(() => [])
    const alive = listed.filter(record => !isExpired(record, this.settings.clocks, now))
    for (const { id } of alive.slice(cap)) {
      if (id === keep) continue
      const ended = await this.writer.end(id, userId).catch(() => false)
      if (ended) this.events.emit('session.ended', { id, userId, reason: 'evicted' })
    }
  }

  noticeSuperseded(id: string, userId: string | null, facts: RequestFacts): void {
    this.events.emit('session.superseded', { id, userId, ip: facts.ip() ?? null })
  }

  /** One clear warning instead of logins that silently do not hold: the commonest trap behind a proxy. */
  warnIfUnsendable(facts: RequestFacts): void {
    if (!this.settings.attributes.secure || this.#warnedUnsendable || facts.secure()) return
    this.#warnedUnsendable = true
    const setting = facts.proxySetting?.()
    const message =
      `A Secure cookie (${this.settings.signedInCookie}) was set on a request that looks like plain http; browsers drop it unless TLS ends before this process. ` +
      `Behind a proxy, tell the framework to trust it${setting === undefined ? '' : `: ${setting}`}; without TLS, set production: false for development.`
    process.emitWarning(message, 'CoatcheckWarning')
    this.events.emit('cookie.insecure', { message })
  }
}

/** True for a promise of any make. */
export function isPromise<Value>(value: MaybePromise<Value>): value is Promise<Value> {
  return typeof value === 'object' && value !== null && 'then' in value
}
