import type { BagImage } from './bag-image.ts'
import { mergeData, onlyChanges, type Plan, planCommit, type Standing, superseded } from './commit.ts'
import { cookieValue, expireCookie, setCookie } from './cookie.ts'
import type { Engine, Judged } from './engine.ts'
import { CoatcheckError, isCoatcheckError } from './errors.ts'
import type { Emitter, EndReason, SessionEvents } from './events.ts'
import type { Exchange, Outgoing, RequestFacts } from './exchange.ts'
import { canonicalJson, normalizeUserId } from './identity.ts'
import { imageFor } from './last-look.ts'
import { marksOf } from './login-attempt.ts'
import type { Settings } from './options.ts'
import type { SessionRecord } from './record.ts'
import {
  createSession,
  emptySession,
  fillSession,
  type LoginOptions,
  type Session,
  type SessionOwner,
  sessionText,
} from './session.ts'
import type { Bag } from './session-data.ts'
import type { SessionRequest } from './session-request.ts'
import type { Marks, MaybePromise } from './store.ts'
import type { MintedToken, Token } from './token.ts'
import type { Draft, Edit, Unwritten, Written } from './writer.ts'

/** What a request's cookies came to. */
export interface Presented {
  readonly judged: Judged
  /** The valid token that was judged; undefined where there was none, or nothing alive behind it. */
  readonly token: Token | undefined
  /** True if it came under the visitor's name. */
  readonly asVisitor: boolean
}

/** What a request without any token of ours presents. */
export const NOTHING_PRESENTED: Presented = Object.freeze({
  judged: undefined,
  token: undefined,
  asVisitor: false,
})

const NO_COOKIES: readonly string[] = Object.freeze([])
const UNTOUCHED: Outgoing = Object.freeze({ setCookie: NO_COOKIES, personal: false, varies: false })
const ANONYMOUS: Outgoing = Object.freeze({ setCookie: NO_COOKIES, personal: false, varies: true })
const PERSONAL: Outgoing = Object.freeze({ setCookie: NO_COOKIES, personal: true, varies: true })
const EMPTY = '{}'
const LATE_IDENTITY = 'A change of identity or privilege'

/** The kinds of acts, as far as one can make another's failure good. */
type Act = 'identity' | 'rotate' | 'save' | 'reload'

/**
 * One request and its session: a small state machine over `standing` and `record`. It decides with `commit.ts`, writes
 * with `writer.ts`, and remembers which cookies the response has to carry.
 */
export class RequestExchange implements Exchange, SessionOwner {
  readonly #engine: Engine
  readonly #facts: RequestFacts
  readonly #arrivedAt: number
  readonly #cookieHeader: string | undefined
  #standing: Standing
  #record: SessionRecord | undefined
  #token: Token | undefined
  #asVisitor: boolean
  #session: Session | undefined
  /** The data that this request last wrote, where it has; else the record's are what a change is measured against. */
  #written: string | undefined
  /** Of the record that `#base` is the data of, where it has one. */
  #image: BagImage | undefined
  /** Set-Cookie values by cookie name: the last word on each name counts. */
  #cookies: Map<string, string> | undefined
  #onToken: ((owner: SessionOwner) => void) | undefined
  #started = false
  #pending = 0
  #last: Promise<unknown> | undefined
  /** An outage that an act of this request met: the response must not say that all went well (law 6). */
  #failure: { readonly act: Act; readonly error: CoatcheckError } | undefined

  constructor(engine: Engine, facts: RequestFacts, presented: Presented, arrivedAt: number, cookieHeader: string | undefined) {
    this.#engine = engine
    this.#facts = facts
    this.#arrivedAt = arrivedAt
    this.#cookieHeader = cookieHeader
    this.#standing = standingOf(presented.judged)
    this.#record = recordOf(presented.judged)
    this.#token = presented.token
    this.#asVisitor = presented.asVisitor
  }

  get touched(): boolean {
    return this.#session !== undefined
  }

  get session(): Session {
    this.#session ??= this.#filled(createSession(this))
    return this.#session
  }

  #filled(session: Session): Session {
    // What this request has written is no record that another one will find.
    if (this.#written === undefined) this.#image = this.#token && this.#record && imageFor(this.#token, this.#record)
    if (this.#image === undefined) fillSession(session, this.#base)
    else this.#image.fill(session)
    return session
  }

  get id(): string | undefined {
    return this.#record?.id
  }

  get createdAt(): Date | undefined {
    return this.#record && new Date(this.#record.createdAt)
  }

  get authenticatedAt(): Date | undefined {
    const at = this.#record?.authenticatedAt ?? undefined
    return at === undefined ? undefined : new Date(at)
  }

  /** Who the record says is signed in. */
  get userId(): string | null {
    return this.#record?.userId ?? null
  }

  /** The record as it was read or last written. */
  get stored(): SessionRecord | undefined {
    return this.#record
  }

  get signedInAs(): string | null {
    return this.#standing === 'superseded' || this.#standing === 'gone' ? null : this.#after()
  }

  async confirm(): Promise<void> {
    if (this.#engine.near === undefined) return
    // An act that the handler did not await is about to replace the very token that would be judged.
    if (this.#pending > 0) await this.#last
    if (this.#token === undefined || this.#standing !== 'live') return
    const judged = await this.#engine.judge(this.#token)
    if (typeof judged === 'object') return
    // What the handler has written already goes nowhere, as with any session that ended under it.
    if (judged === 'superseded') this.#noticeSuperseded()
    else this.#standing = 'gone'
  }

  now(): number {
    return this.#engine.settings.clock.now()
  }

  /** True if the token of this request has been replaced by a parallel one's. */
  get isSuperseded(): boolean {
    return this.#standing === 'superseded'
  }

  /** Never shown to anyone. */
  get tokenHash(): string | undefined {
    return this.#token?.tokenHash
  }

  get settings(): Settings {
    return this.#engine.settings
  }

  get events(): Emitter<SessionEvents> {
    return this.#engine.events
  }

  addCookie(name: string, value: string): void {
    this.#setCookie(name, value)
  }

  onToken(changed: (owner: SessionOwner) => void): void {
    this.#onToken = changed
  }

  get engine(): Engine {
    return this.#engine
  }

  get request(): SessionRequest {
    const { cookiePrefix } = this.#engine.settings
    return {
      ip: this.#facts.ip(),
      userAgent: this.#facts.userAgent(),
      cookie: name => cookieValue(this.#cookieHeader ?? '', cookiePrefix + name),
      setCookie: (name, value, maxAgeMs) => this.#sendAlong(cookiePrefix + name, value, maxAgeMs),
    }
  }

  commit(): MaybePromise<Outgoing> {
    if (this.#pending > 0 || this.#failure !== undefined || this.#hasChanged()) {
      return this.#inTurn('save', () => this.#commit()).then(() => this.#outgoing())
    }
    this.#started = true
    return this.#outgoing()
  }

  async #commit(): Promise<void> {
    try {
      if (this.#failure !== undefined) throw this.#failure.error
      await this.#persist()
    } finally {
      this.#started = true
    }
  }

  finish(): MaybePromise<void> {
    if (this.#pending > 0 || this.#failure !== undefined || this.#hasChanged()) return this.#inTurn('save', () => this.#finish())
  }

  async #finish(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error
    await this.#saveLate()
  }

  login(userId: unknown, options: LoginOptions): Promise<void> {
    return this.#inTurn('identity', () => this.#login(userId, options))
  }

  logout(): Promise<void> {
    return this.#inTurn('identity', async () => {
      await this.#end('logout')
      if (this.#session !== undefined) emptySession(this.#session)
    })
  }

  rotate(): Promise<void> {
    return this.#inTurn('rotate', async () => {
      this.#refuseOnceStarted('rotate()')
      const plan = this.#plan()
      if (plan !== 'nothing' && plan !== 'save') return this.#carryOut(plan)
      if (this.#standing === 'superseded') throw superseded()
      if (this.#record !== undefined) await this.#rotate(this.#record, 'requested')
    })
  }

  save(): Promise<void> {
    return this.#inTurn('save', () => (this.#started ? this.#saveLate() : this.#persist()))
  }

  reload(): Promise<void> {
    return this.#inTurn('reload', () => this.#reload())
  }

  /** Passport's way to a fresh id: this session ends, and a new object stands in its place. */
  regenerate(): Promise<void> {
    return this.#inTurn('identity', async () => {
      await this.#end('replaced')
      this.#session = createSession(this)
    })
  }

  /** One act of a request after the other, also where a handler forgot to await. */
  #inTurn(act: Act, perform: () => Promise<void>): Promise<void> {
    this.#pending++
    const done = Promise.resolve(this.#last).then(perform)
    this.#last = done.then(
      () => this.#settled(act, undefined),
      (error: unknown) => this.#settled(act, error),
    )
    return done
  }

  /** A failure is made good by the same kind of act, or by a login or logout: never by a save that had nothing to do. */
  #settled(act: Act, error: unknown): void {
    this.#pending--
    if (isCoatcheckError(error) && error.status === 503) this.#failure ??= { act, error }
    else if (error === undefined && (act === 'identity' || act === this.#failure?.act)) this.#failure = undefined
  }

  /** The data as it was read or last written: what a change is measured against. */
  get #base(): string {
    return this.#written ?? this.#record?.data ?? EMPTY
  }

  #measureAgainst(data: string): void {
    this.#written = data
    this.#image = undefined
  }

  #hasChanged(): boolean {
    if (this.#session === undefined || this.#image?.surelyIn(this.#session)) return false
    return this.#text() !== this.#base
  }

  /** The data as JSON; typed errors for what JSON, or we, cannot hold. */
  #text(): string {
    return sessionText(this.session)
  }

  #checkedText(): string {
    return this.#engine.checkSize(this.#text())
  }

  get owed(): readonly string[] {
    return this.#cookies === undefined ? NO_COOKIES : [...this.#cookies.values()]
  }

  #outgoing(): Outgoing {
    if (this.#session === undefined) return UNTOUCHED
    if (this.#cookies === undefined) return this.userId === null ? ANONYMOUS : PERSONAL
    // What ends a session is as personal as the session was.
    return { setCookie: this.owed, personal: true, varies: true }
  }

  /** `login()` after the first byte could not hand out its token. */
  #refuseOnceStarted(what: string): void {
    if (!this.#started) return
    throw new CoatcheckError(
      'RESPONSE_STARTED',
      `${what} came after the response had begun: its cookie cannot be sent any more. Do it before the first write.`,
    )
  }

  #after(): string | null {
    return normalizeUserId(this.#engine.settings.identify(this.session))
  }

  /** What the data asks for, as it stands. */
  #plan(): Plan {
    const changed = this.#hasChanged()
    if (!changed) return 'nothing'
    const before = this.userId
    const after = this.#after()
    const privilegeChanged = before !== null && before === after && this.#privilegeChanged()
    return planCommit({ standing: this.#standing, changed, before, after, privilegeChanged })
  }

  #privilegeChanged(): boolean {
    const { privilege } = this.#engine.settings
    return canonicalJson(privilege(JSON.parse(this.#base) as Bag)) !== canonicalJson(privilege(this.session))
  }

  #persist(): Promise<void> {
    return this.#carryOut(this.#plan())
  }

  async #carryOut(plan: Plan): Promise<void> {
    switch (plan) {
      case 'nothing':
        return
      case 'birth':
        return this.#birth()
      case 'save':
        return this.#save()
      case 'rotate':
        return this.#rotate(this.#living, 'privilege')
      case 'promote':
        return this.#promote(this.#living, {})
      case 'end':
        await this.#end('signed-out')
        return emptySession(this.session)
      case 'drop':
        return this.#drop()
    }
  }

  get #living(): SessionRecord {
    return this.#record as SessionRecord
  }

  async #save(): Promise<void> {
    const data = this.#text()
    const result = await this.#change(this.#living, this.#edit(data))
    if (typeof result !== 'string') return this.#wrote(result.record, data)
    if (result === 'superseded') throw this.#noticeSuperseded()
    this.#drop()
  }

  /** The same person, the same clocks, a new token. */
  async #rotate(record: SessionRecord, reason: SessionEvents['session.rotated']['reason']): Promise<void> {
    const data = this.#text()
    const token = this.#engine.tokens.mint(record.id)
    const result = await this.#change(record, this.#edit(data), token)
    if (result === 'superseded') throw this.#noticeSuperseded()
    if (typeof result === 'string') return this.#drop()
    this.#wrote(result.record, data)
    this.#handOut(token)
    this.#tell('session.rotated', { id: record.id, userId: record.userId, reason })
  }

  /** Nobody's or the same person's record becomes a new sign-in: new token, new clocks, the bag kept. */
  async #promote(record: SessionRecord, options: LoginOptions): Promise<void> {
    const again = record.userId !== null
    const userId = this.#after() as string
    const marks = await this.#marks(userId, options)
    if (again) await this.#refuseOvertaken(userId, marks)
    const data = this.#text()
    const token = this.#engine.tokens.mint(record.id)
    // A step-up keeps the marks that its session has: of another generation it could not even be compared.
    const signIn = { ...this.#signIn(userId, options.remember ?? record.remember), ...(again ? {} : marksOf(marks)) }
    let before = record
    const edit: Edit = base => {
      before = base
      return { ...signIn, data: this.#merged(base, data, userId) }
    }
    const result = await this.#change(record, edit, token)
    if (result === 'refused') throw this.#overtaken(userId)
    if (typeof result === 'string') return this.#birthInstead(userId, marks, options)
    if (again) await this.#refuseOvertaken(userId, marks).catch(error => this.#takeBack(result.record, before, token, error))
    this.#wrote(result.record, data)
    this.#handOut(token)
    this.#tell('session.rotated', { id: record.id, userId, reason: 'login' })
    await this.#signedIn(again)
  }

  /**
   * The store compares the marks only where the person changes: a step-up has to look itself. Before it writes, so that most
   * need not be taken back; and once it has landed, for a revocation that spared its session may have come between.
   */
  async #refuseOvertaken(userId: string, marks: Marks): Promise<void> {
    const now = await this.#engine.attempt(userId)
    if (now.userEpoch !== marks.userEpoch || now.generation !== marks.generation) throw this.#overtaken(userId)
  }

  /**
   * What was before a step-up goes over it again, while nobody has its token: it makes nobody fresh, and changes nothing. The old
   * token is dead and stays so: the browser gets the new one along with the error.
   */
  async #takeBack(landed: SessionRecord, before: SessionRecord, token: MintedToken, error: unknown): Promise<never> {
    const { writer } = this.#engine
    const edit: Edit = ({ generation }) => ({ ...before, generation })
    const result = await writer.change(landed, token.tokenHash, edit).catch(async (failed: unknown) => {
      await writer.endUnknown(landed)
      throw failed
    })
    if (typeof result === 'string') throw error
    this.#wrote(result.record, this.#base)
    this.#handOut(token)
    this.#tell('session.rotated', { id: landed.id, userId: landed.userId, reason: 'login' })
    throw error
  }

  /** The session that was to be promoted is dead or another's by now: a fresh one gets this request's own changes only. */
  async #birthInstead(userId: string, marks: Marks, options: LoginOptions): Promise<void> {
    const { userId: named } = this.session
    this.#restore(onlyChanges(this.#base, this.#text()))
    if (this.#after() !== userId) Object.assign(this.session, { userId: named })
    this.#requireNamed(userId)
    const life = this.#signIn(userId, options.remember ?? false)
    await this.#born(await this.#engine.writer.birth({ ...life, data: this.#checkedText() }, marks), userId)
  }

  async #birth(options: LoginOptions = {}): Promise<void> {
    const userId = this.#after()
    // A birth that no response can hand out is nobody's session.
    this.#refuseOnceStarted('A new session')
    const marks = userId === null ? undefined : await this.#marks(userId, options)
    const life = userId === null ? this.#visit() : this.#signIn(userId, options.remember ?? false)
    await this.#born(await this.#engine.writer.birth({ ...life, data: this.#checkedText() }, marks), userId)
  }

  async #born(written: Written | 'refused', userId: string | null): Promise<void> {
    if (written === 'refused') throw this.#overtaken(userId as string)
    this.#wrote(written.record, written.record.data)
    this.#handOut(written.token as MintedToken)
    this.#tell('session.created', { id: written.record.id, userId })
    if (userId !== null) await this.#signedIn(false)
  }

  async #login(id: unknown, options: LoginOptions): Promise<void> {
    this.#refuseOnceStarted('login()')
    const userId = normalizeUserId(id)
    if (userId === null)
      throw new CoatcheckError('BAD_IDENTITY', 'login(userId) needs the id of the person who signs in; got nothing.')
    const attempt = { ...options, attempt: await this.#engine.attempt(userId, options.attempt) }
    const record = this.#record
    const another = record?.userId != null && record.userId !== userId
    const before = this.#text()
    try {
      if (another) emptySession(this.session, options.keep)
      Object.assign(this.session, options.data, { userId: typeof id === 'bigint' ? userId : id })
      this.#requireNamed(userId)
      if (record !== undefined && !another) return await this.#promote(record, attempt)
      await this.#birth(attempt)
      if (record !== undefined) await this.#endReplaced(record)
    } catch (error) {
      if (!this.#started) this.#restore(before)
      throw error
    }
  }

  #requireNamed(userId: string): void {
    if (this.#after() === userId) return
    throw new CoatcheckError(
      'BAD_IDENTITY',
      'login(userId) set data.userId, but identify(data) names somebody else or nobody. Make identify read data.userId.',
    )
  }

  /** A login that failed leaves the bag as it was, so that the response does not commit half of it. */
  #restore(data: string): void {
    emptySession(this.session)
    fillSession(this.session, data)
  }

  /** The session that a login as somebody else leaves behind. If it cannot be ended, the new one is not handed out. */
  async #endReplaced(old: SessionRecord): Promise<void> {
    try {
      await this.#engine.writer.end(old.id)
    } catch (error) {
      await this.#engine.writer.abandon(this.#living.id)
      this.#ended(this.#living.id, this.userId, 'replaced')
      this.#cookies = undefined
      this.#adopt(old)
      throw error
    }
    this.#ended(old.id, old.userId, 'replaced')
  }

  async #end(reason: EndReason): Promise<void> {
    const token = this.#token
    if (token !== undefined) {
      // Whatever the hash: the mac proves that this token was ours, and a logout that did nothing must not say it did.
      await this.#engine.writer.end(token.id)
      this.#expire()
      this.#ended(token.id, this.userId, reason)
    }
    this.#adopt(undefined)
    if (token !== undefined) this.#onToken?.(this)
  }

  async #reload(): Promise<void> {
    const token = this.#token
    if (token !== undefined) this.#take(await this.#engine.judge(token))
    this.#restore(this.#base)
  }

  /** What a strict read has found, on any moment after the first. */
  #take(judged: Judged): void {
    this.#standing = standingOf(judged)
    this.#record = recordOf(judged)
    this.#measureAgainst(this.#record?.data ?? EMPTY)
  }

  /** Data that changed after the first byte: saved if there is a session to save it in. */
  async #saveLate(): Promise<void> {
    // Before the plan, which would ask for `login()` where one person became another: that comes too late as well.
    if (this.#standing === 'live' && this.#hasChanged() && this.#after() !== this.userId) this.#refuseOnceStarted(LATE_IDENTITY)
    const plan = this.#plan()
    if (plan === 'nothing') return
    if (plan === 'drop' || (plan === 'birth' && this.#after() === null)) return this.#drop()
    if (plan !== 'save') this.#refuseOnceStarted(LATE_IDENTITY)
    await this.#save()
    if (this.#record !== undefined && this.#standing === 'live') this.#tell('session.late', { id: this.#record.id })
  }

  /**
   * A save that finds its session ended has nowhere to go (law 4). The record stays known as what it was: a login that
   * follows in this request must not take its data for the newcomer's.
   */
  #drop(): void {
    this.#tell('session.dropped', { id: this.id ?? null, userId: this.userId })
    this.#standing = 'gone'
    this.#measureAgainst(this.#text())
  }

  #noticeSuperseded(): CoatcheckError {
    this.#engine.noticeSuperseded(this.#living.id, this.userId, this.#facts)
    this.#standing = 'superseded'
    return superseded()
  }

  #overtaken(userId: string): CoatcheckError {
    this.#tell('login.overtaken', { userId })
    return new CoatcheckError(
      'LOGIN_OVERTAKEN',
      "This person's sessions were ended while the login was under way. Ask for the credentials again.",
    )
  }

  #change(record: SessionRecord, edit: Edit, token?: MintedToken): Promise<Written | Unwritten> {
    return this.#engine.writer.change(record, (this.#token as Token).tokenHash, edit, token)
  }

  #edit(data: string): Edit {
    return base => ({ data: this.#merged(base, data, base.userId), lastSeenAt: this.#arrivedAt })
  }

  /**
   * The data of this request over what others saved. Their keys and ours together must still name the person, and give
   * them the privilege, that was decided on: an `identify` that reads two keys could else be made to name a third.
   */
  #merged(base: SessionRecord, data: string, userId: string | null): string {
    const merged = this.#engine.checkSize(mergeData(this.#base, data, base.data))
    if (merged === data) return merged
    const { identify, privilege } = this.#engine.settings
    const [both, ours] = [JSON.parse(merged), JSON.parse(data)] as [Bag, Bag]
    const allowed = [ours, JSON.parse(base.data) as Bag].map(bag => canonicalJson(privilege(bag)))
    if (normalizeUserId(identify(both)) === userId && (userId === null || allowed.includes(canonicalJson(privilege(both)))))
      return merged
    throw new CoatcheckError(
      'SESSION_CONFLICT',
      'A parallel request changed who this session is. Nothing of this one was saved; try again.',
      { retryAfter: 1 },
    )
  }

  #marks(userId: string, options: LoginOptions): Promise<Marks> {
    return this.#engine.attempt(userId, options.attempt)
  }

  #signIn(userId: string, remember: boolean): Omit<Draft, 'data'> {
    const now = this.#engine.settings.clock.now()
    return { ...this.#visit(), userId, remember, authenticatedAt: now }
  }

  #visit(): Omit<Draft, 'data'> {
    const now = this.#engine.settings.clock.now()
    return {
      userId: null,
      createdAt: now,
      authenticatedAt: null,
      lastSeenAt: now,
      expiresAt: now + this.#engine.settings.clocks.absoluteMs,
      remember: false,
      ip: cut(plainAddress(this.#facts.ip()), 45),
      userAgent: cut(this.#facts.userAgent(), 256),
    }
  }

  /**
   * The record is stored; `data` is what the bag held when it was written. What others saved meanwhile is in the record
   * but not in the bag: the handler may hold parts of the bag, and the next change is merged against `data` again.
   */
  #wrote(record: SessionRecord, data: string): void {
    this.#adopt(record)
    this.#measureAgainst(data)
  }

  /** From here on the request's session is this record, or none. */
  #adopt(record: SessionRecord | undefined): void {
    this.#record = record
    this.#token = record && { id: record.id, tokenHash: record.tokenHash }
    this.#standing = record === undefined ? 'none' : 'live'
    this.#measureAgainst(record?.data ?? EMPTY)
  }

  #handOut(token: MintedToken): void {
    const { settings } = this.#engine
    const record = this.#living
    const signedIn = record.userId !== null
    const name = signedIn ? settings.signedInCookie : settings.visitCookie
    this.#engine.warnIfUnsendable(this.#facts)
    this.#setCookie(
      name,
      setCookie(name, token.value, settings.attributes, record.remember ? record.expiresAt - settings.clock.now() : undefined),
    )
    if (signedIn && this.#engine.visitorIn(this.#cookieHeader ?? '') !== undefined)
      this.#setCookie(settings.visitCookie, expireCookie(settings.visitCookie, settings.attributes))
    this.#asVisitor = !signedIn
    this.#onToken?.(this)
  }

  #expire(): void {
    const { settings } = this.#engine
    const name = this.#asVisitor ? settings.visitCookie : settings.signedInCookie
    this.#setCookie(name, expireCookie(name, settings.attributes))
  }

  /** A cookie of a layer above us. */
  #sendAlong(name: string, value: string, maxAgeMs: number): void {
    this.#refuseOnceStarted('setCookie()')
    this.#setCookie(name, setCookie(name, value, { ...this.#engine.settings.attributes, httpOnly: true }, maxAgeMs))
  }

  #setCookie(name: string, value: string): void {
    this.#cookies ??= new Map()
    this.#cookies.set(name, value)
  }

  async #signedIn(again: boolean): Promise<void> {
    const { id, userId, ip, userAgent } = this.#living as SessionRecord & { userId: string }
    this.#tell('login', { id, userId, again, ip, userAgent })
    if (!again) await this.#engine.endOldest(userId, id)
  }

  #ended(id: string, userId: string | null, reason: EndReason): void {
    this.#tell('session.ended', { id, userId, reason })
  }

  #tell<Name extends keyof SessionEvents>(name: Name, event: SessionEvents[Name]): void {
    this.#engine.events.emit(name, event)
  }
}

function standingOf(judged: Judged): Standing {
  if (judged === undefined) return 'none'
  return typeof judged === 'object' ? 'live' : 'superseded'
}

function recordOf(judged: Judged): SessionRecord | undefined {
  return typeof judged === 'object' ? judged : undefined
}

/** An IPv4 address as itself, also where a dual-stack socket gives it mapped into IPv6 (RFC 4291 §2.5.5.2). */
function plainAddress(ip: string | undefined): string | undefined {
  return ip?.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '')
}

function cut(text: string | undefined, length: number): string | null {
  if (text === undefined || text === '') return null
  // A copy: a slice would keep the whole header alive for as long as the record is.
  return Buffer.from(text.replaceAll('\0', '').slice(0, length)).toString()
}

/**
 * What stands behind an exchange, without touching its session.
 *
 * @throws CoatcheckError `NO_SESSION` if it is none of ours
 */
export function ownerBehind(exchange: Exchange): SessionOwner {
  if (exchange instanceof RequestExchange) return exchange
  throw new CoatcheckError('NO_SESSION', 'This is no exchange of Coatcheck: take what sessions.open() gives.')
}
