import { randomUUID } from 'node:crypto'
import {
  assertSignedIn,
  CoatcheckError,
  Emitter,
  type ExceptOptions,
  type LoginAttempt,
  type Session,
  type SessionRequest,
  type Sessions,
  type UserId,
} from 'coatcheck'
import { failureOf, foldIdentifier, isUsable, isUsableIdentifier, isUsablePassword, type Typed } from './credentials.ts'
import { KnownDevices } from './device.ts'
import type { AuthEvents, LoginFailure } from './events.ts'
import { type AuthOptions, type AuthSettings, settingsFrom } from './options.ts'
import { PasswordHasher } from './passwords/hasher.ts'
import { refuseNewPassword } from './passwords/policy.ts'
import type { Turn } from './passwords/queue.ts'
import { SignedSalts } from './passwords/signed-salts.ts'
import { type ResetClaim, ResetTokens } from './reset-token.ts'
import {
  type ChangeResult,
  type HashResult,
  INVALID,
  type Invalid,
  type LoginResult,
  OK,
  type ReauthenticateResult,
  type RequestResetResult,
  type ResetResult,
  type SignUpResult,
  TAKEN,
  type Throttled,
  throttled,
  weak,
} from './results.ts'
import { type KnownBrowser, type Reservation, Throttle } from './throttle/throttle.ts'
import type { Credentials, PasswordToSave, Users } from './users.ts'

/** What a login form sends, and how long the browser should remember it. */
export interface LoginForm extends Typed {
  /** True: the session outlives the browser window, until its absolute end. Default false. */
  readonly remember?: boolean
}

/** A person who is signed in, asked again for the password. */
export interface PasswordForm {
  readonly password: string
}

export interface ChangeForm extends PasswordForm {
  readonly newPassword: string
}

/** What a sign-up form sends. */
export interface SignUpForm extends Typed {
  /** What else is known of the person (the name): it makes no good password, and neither does the identifier. */
  readonly about?: readonly string[]
}

export interface ResetForm extends PasswordForm {
  /** From the mail's link. */
  readonly token: string
}

/** What looking at a password came to. */
interface Checked {
  readonly attempt: LoginAttempt
  readonly credentials: Credentials | undefined
  readonly failure: LoginFailure | undefined
}

/** Somebody signed in has proved it again. */
interface Proof extends Checked {
  readonly ok: true
  readonly userId: UserId
}

/** A parallel request's rotation comes within this; a token that comes later was kept by somebody. */
const PARALLEL_MS = 30_000

/**
 * Is this the person? Made by `createAuth`; takes the session object, never a framework's request, and so works the
 * same under every adapter.
 */
export class Auth {
  readonly #sessions: Sessions
  readonly #users: Users
  readonly #settings: AuthSettings
  readonly #events = new Emitter<AuthEvents>()
  readonly #hasher: PasswordHasher
  readonly #throttle: Throttle
  readonly #devices: KnownDevices
  readonly #resets: ResetTokens
  readonly #salts: SignedSalts
  /** Who sets a password by a link right now, in this process. */
  readonly #resetting = new Set<UserId>()
  readonly #nobody: UserId = randomUUID()
  readonly #unlisten: () => void

  constructor(options: AuthOptions) {
    const settings = settingsFrom(options)
    const { sessions } = options
    this.#sessions = sessions
    this.#users = options
    this.#settings = settings
    this.#hasher = new PasswordHasher(settings.hashing)
    this.#throttle = new Throttle(settings.limiter, settings.windows, keyOf(sessions, 'auth tries'), error =>
      this.#events.emit('limiter.failed', { error }),
    )
    this.#devices = new KnownDevices(sessions.deriveKeys('auth device'), settings.deviceMs, settings.now)
    this.#resets = new ResetTokens(sessions.deriveKeys('auth reset'), sessions.deriveKeys('auth reset fingerprint'))
    this.#salts = new SignedSalts(sessions.deriveKeys('auth salt'))
    this.#unlisten = sessions.on('session.superseded', ({ id, ip }) => this.#tellReuse(id, ip))
  }

  /** Calls `listener` for each such event from now on; the returned function ends that. */
  on<Name extends keyof AuthEvents>(name: Name, listener: (event: AuthEvents[Name]) => unknown): () => void {
    return this.#events.on(name, listener)
  }

  /** Hashes computed so far, those that are being computed, and tries that wait for their turn. For metrics. */
  get hashing(): { readonly computed: number; readonly running: number; readonly waiting: number } {
    return { computed: this.#hasher.computed, ...this.#hasher.load }
  }

  /**
   * Signs somebody in by password.
   *
   * The try is counted, then the marks of revocation are read, then the stored password, and one hash is computed,
   * whether or not there is such a person (ASVS 5.0 6.3.1, 6.3.8). A password stored in an older or weaker way is hashed
   * anew. The browser gets a cookie by which it is known next time.
   *
   * @throws CoatcheckError `HASHING_OVERLOADED` and `LIMITER_UNAVAILABLE` (nothing was checked, the try does not count),
   *   and what `session.login` throws, `LOGIN_OVERTAKEN` above all
   */
  async login(session: Session, { identifier, password, remember = false }: LoginForm): Promise<LoginResult> {
    const request = this.#sessions.requestOf(session)
    if (!isUsable(identifier, password)) return INVALID
    const userId = await this.#find(identifier)
    const known = userId === undefined ? undefined : await this.#recognise(request, userId)
    const reservation = await this.#throttle.login({ names: namesOf(userId, identifier), ip: request.ip, known })
    if (!reservation.ok) {
      const { limit, retryAfter } = reservation
      this.#events.emit('login.throttled', { ...clientOf(request), userId, limit, retryAfter })
      return throttled(reservation)
    }
    const turn = known === undefined || userId === undefined ? 'stranger' : turnOf(userId)
    const { attempt, credentials, failure } = await this.#check(reservation, turn, password, userId, identifier)
    if (failure !== undefined || userId === undefined) {
      this.#tellFailure(request, userId, failure ?? 'unknown-user', reservation)
      return INVALID
    }
    await reservation.succeed()
    const passwordHash = await this.#rehash(userId, password, credentials?.passwordHash ?? null)
    await session.login(userId, { remember, attempt, ...(credentials?.data && { data: credentials.data }) })
    this.#devices.remember(request, userId, passwordHash)
    if (known === undefined) this.#events.emit('login.new-device', { ...clientOf(request), userId, sessionId: session.id })
    return { ok: true, userId }
  }

  /**
   * Step-up: asks somebody who is signed in for the password again. The session gets a new token and is fresh, for
   * `requireFresh` (ASVS 5.0 7.2.4, 7.5.1).
   *
   * @throws CoatcheckError `NOT_AUTHENTICATED`, `SESSION_SUPERSEDED`, `HASHING_OVERLOADED`, `LIMITER_UNAVAILABLE`,
   *   `LOGIN_OVERTAKEN`
   */
  async reauthenticate(session: Session, { password }: PasswordForm): Promise<ReauthenticateResult> {
    const proof = await this.#proveAgain(session, password)
    if (!proof.ok) return proof
    await session.login(proof.userId, { attempt: proof.attempt })
    return OK
  }

  /**
   * Changes the password of somebody who is signed in: asks for the present one, ends all their other sessions, and
   * gives this one a new token (ASVS 5.0 6.2.3, 7.4.3).
   *
   * @throws CoatcheckError as `reauthenticate`, and `STORE_UNAVAILABLE` where the other sessions could not be ended: the
   *   person should try again, with the same form; it is finished then, also where the new password is stored already
   */
  async changePassword(session: Session, { password, newPassword }: ChangeForm): Promise<ChangeResult> {
    const proof = await this.#proveAgain(session, password)
    if (!proof.ok) return proof.reason === 'invalid' ? this.#finishChange(session, newPassword) : proof
    const { userId, attempt, credentials } = proof
    const salt = this.#salts.make(`session ${session.id}`)
    const hashed = await this.#newString(turnOf(userId), newPassword, credentials?.about, salt)
    if (!hashed.ok) return hashed
    // Whoever was signed out by an administrator since the proof is refused here, before anything is changed. It comes
    // before our own revocation, which would be taken for one.
    await session.login(userId, { attempt })
    const others = session.id === undefined ? {} : { except: session.id }
    await this.#sessions.revokeUser(userId, others)
    const change = {
      userId,
      passwordHash: hashed.passwordHash,
      replaces: credentials?.passwordHash ?? null,
      why: 'change',
    } as const
    if (!(await this.#saveThenRevoke(change, others))) return INVALID
    this.#devices.remember(this.#sessions.requestOf(session), userId, hashed.passwordHash)
    return OK
  }

  /**
   * For your sign-up, before it stores an account: counts the try by its address (`limits.perSignUpIp`), then says whether
   * the password is a good one, whether `findUser` knows the identifier, and the string to store. A hash is computed only
   * where nothing stands in the way.
   *
   * Two at the same moment may both be told that an identifier is free: your database decides.
   *
   * @throws CoatcheckError `HASHING_OVERLOADED`, `LIMITER_UNAVAILABLE`
   */
  async prepareSignUp(session: Session, { identifier, password, about = [] }: SignUpForm): Promise<SignUpResult> {
    if (!isUsable(identifier, password)) return INVALID
    const request = this.#sessions.requestOf(session)
    const reservation = await this.#throttle.signUp(request.ip)
    if (!reservation.ok) {
      this.#events.emit('sign-up.throttled', { ...clientOf(request), retryAfter: reservation.retryAfter })
      return throttled(reservation)
    }
    const refusal = await refuseNewPassword(password, [identifier, ...about], this.#settings.policy)
    if (refusal !== undefined) return weak(refusal)
    if ((await this.#find(identifier)) !== undefined) return TAKEN
    return { ok: true, passwordHash: await this.#hasher.hash(password, 'stranger') }
  }

  /**
   * Whether a new password is a good one, and the string to store for it: for accounts that you make yourself. It counts
   * nothing: behind a sign-up page take `prepareSignUp`.
   *
   * @param about what is known of the person (e-mail address, name), which makes no good password
   * @throws CoatcheckError `HASHING_OVERLOADED`
   */
  hashPassword(password: string, about: readonly string[] = []): Promise<HashResult> {
    return this.#newString('stranger', password, about)
  }

  /**
   * Somebody forgot a password: sends a mail through `sendReset` if there is such an account. The answer is the same if
   * there is none, and does not wait for the mail (ASVS 5.0 6.3.8).
   *
   * @throws CoatcheckError `LIMITER_UNAVAILABLE`, `BAD_OPTION` where `sendReset` is missing
   */
  async requestReset(session: Session, { identifier }: Pick<Typed, 'identifier'>): Promise<RequestResetResult> {
    this.#needHook('sendReset')
    if (!isUsableIdentifier(identifier)) return OK
    const request = this.#sessions.requestOf(session)
    const userId = await this.#find(identifier)
    const reservation = await this.#throttle.reset({ names: namesOf(userId, identifier), ip: request.ip })
    if (!reservation.ok) {
      const { limit, retryAfter } = reservation
      this.#events.emit('reset.throttled', { ...clientOf(request), userId, limit, retryAfter })
      return throttled(reservation)
    }
    this.#events.emit('reset.requested', { ...clientOf(request), userId })
    // After the answer has left: the time that a mail takes would tell who has an account.
    if (userId !== undefined) setImmediate(() => void this.#sendQuietly(userId))
    return OK
  }

  /**
   * Sends a reset mail to somebody: for an administrator, who may start a reset but never choose a password (ASVS 5.0
   * 6.4.6), and for accounts that begin without one. False if the account is disabled or not there.
   */
  async startReset(userId: UserId): Promise<boolean> {
    this.#needHook('sendReset')
    const credentials = await this.#users.findCredentials(userId)
    if (!credentials || credentials.disabled) return false
    const expiresAt = this.#settings.now() + this.#settings.resetMs
    const token = this.#resets.make(userId, credentials, expiresAt)
    await this.#users.sendReset?.({ userId, token, expiresAt: new Date(expiresAt) })
    return true
  }

  /**
   * Sets a new password by the token of a reset mail, and ends every session of the person; nobody is signed in by it
   * (ASVS 5.0 6.4.3). The browser counts as known from now on: a way in for an owner whose account strangers hammer.
   *
   * @throws CoatcheckError `HASHING_OVERLOADED`, and `STORE_UNAVAILABLE` where the sessions could not be ended: the person
   *   should try again, with the same link; it is finished then, also where the new password is stored already
   */
  async resetPassword(session: Session, { token, password }: ResetForm): Promise<ResetResult> {
    const request = this.#sessions.requestOf(session)
    const claim = this.#resets.read(token, this.#settings.now())
    if (claim === undefined || !isUsablePassword(password)) return INVALID
    // One at a time of each person: their hashes go first, and the second would find the link used.
    if (this.#resetting.has(claim.userId)) return INVALID
    this.#resetting.add(claim.userId)
    try {
      return await this.#resetBy(token, claim, request, password)
    } finally {
      this.#resetting.delete(claim.userId)
    }
  }

  /**
   * Disables an account through `disableUser` and ends all its sessions, logins under way included (ASVS 5.0 7.4.2).
   *
   * @throws CoatcheckError `STORE_UNAVAILABLE` where they could not be ended: call it again
   */
  async disable(userId: UserId): Promise<void> {
    this.#needHook('disableUser')
    await this.#users.disableUser?.(userId)
    await this.#sessions.revokeUser(userId)
    this.#events.emit('account.disabled', { userId })
  }

  /**
   * Lets a disabled account sign in again, through `enableUser`. Its sessions are ended before: one that a `disable` left
   * behind, which met an outage, must not come to life with the account (ASVS 5.0 7.4.2).
   *
   * @throws CoatcheckError `STORE_UNAVAILABLE`: it is still disabled
   */
  async enable(userId: UserId): Promise<void> {
    this.#needHook('enableUser')
    await this.#sessions.revokeUser(userId)
    await this.#users.enableUser?.(userId)
    this.#events.emit('account.enabled', { userId })
  }

  /**
   * Marks this browser as one in which the person has signed in: after a sign-up, or a login by other means.
   *
   * @throws CoatcheckError `NOT_AUTHENTICATED`
   */
  async rememberDevice(session: Session): Promise<void> {
    assertSignedIn(session)
    const { userId } = session
    const credentials = await this.#users.findCredentials(userId)
    this.#devices.remember(this.#sessions.requestOf(session), userId, credentials?.passwordHash ?? null)
  }

  /** Stops listening, and closes what the limiter opened itself. */
  close(): void {
    this.#unlisten()
    this.#settings.limiter.close?.()
  }

  async #resetBy(token: string, claim: ResetClaim, request: SessionRequest, password: string): Promise<ResetResult> {
    const { userId } = claim
    const setter = `link ${token}`
    const credentials = await this.#users.findCredentials(userId)
    if (!credentials || credentials.disabled) return INVALID
    if (this.#salts.isBy(setter, credentials.passwordHash)) return this.#finishReset(request, userId, password)
    if (!this.#resets.isFor(claim, credentials)) return INVALID
    const hashed = await this.#newString(turnOf(userId), password, credentials.about, this.#salts.make(setter))
    if (!hashed.ok) return hashed
    const change = { userId, passwordHash: hashed.passwordHash, replaces: credentials.passwordHash, why: 'reset' } as const
    await this.#sessions.revokeUser(userId)
    if (!(await this.#saveThenRevoke(change, {}))) return INVALID
    this.#devices.remember(request, userId, hashed.passwordHash)
    return { ok: true, userId }
  }

  /**
   * This link has set the password, and an outage may have kept it from ending the sessions. Whoever sends the same password
   * again is told so; other ones are guesses, and count.
   */
  async #finishReset(request: SessionRequest, userId: UserId, password: string): Promise<ResetResult> {
    await this.#sessions.revokeUser(userId)
    const proof = await this.#prove(request, userId, password)
    if (!proof.ok) return INVALID
    this.#devices.remember(request, userId, proof.credentials?.passwordHash ?? null)
    return { ok: true, userId }
  }

  /** This session has set the password, and an outage may have kept it from ending the others: then the new one proves it. */
  async #finishChange(session: Session, newPassword: string): Promise<ChangeResult> {
    assertSignedIn(session)
    const { userId, id } = session
    const credentials = await this.#users.findCredentials(userId)
    if (!this.#salts.isBy(`session ${id}`, credentials?.passwordHash)) return INVALID
    const proof = await this.#proveAgain(session, newPassword)
    if (!proof.ok) return proof
    await this.#sessions.revokeUser(userId, id === undefined ? {} : { except: id })
    this.#devices.remember(this.#sessions.requestOf(session), userId, proof.credentials?.passwordHash ?? null)
    return OK
  }

  async #newString(turn: Turn, password: string, about: readonly string[] = [], salt?: Buffer): Promise<HashResult> {
    const refusal = await refuseNewPassword(password, about, this.#settings.policy)
    if (refusal !== undefined) return weak(refusal)
    return { ok: true, passwordHash: await this.#hasher.hash(password, turn, salt) }
  }

  async #find(identifier: string): Promise<UserId | undefined> {
    return (await this.#users.findUser(identifier))?.id ?? undefined
  }

  /** Whether the account knows the browser. One without a token of theirs, a stranger's, costs no look at the account. */
  async #recognise(request: SessionRequest, userId: UserId): Promise<KnownBrowser | undefined> {
    if (!this.#devices.isTheirs(request, userId)) return undefined
    const credentials = await this.#users.findCredentials(userId)
    if (!credentials || credentials.disabled) return undefined
    const { passwordHash } = credentials
    const device = this.#devices.recognise(request, userId, passwordHash)
    return device && { device: device.id, all: `known ${String(userId)} ${passwordHash}` }
  }

  /**
   * The order is the point: first the marks, then the stored string, then the hash. A revocation after the first is seen
   * when the login lands; one before it had its password change stored already.
   */
  async #check(reservation: Reservation, turn: Turn, password: string, userId?: UserId, identifier?: string): Promise<Checked> {
    try {
      const attempt = await this.#sessions.attempt(userId ?? this.#nobody)
      const credentials = await this.#credentials(userId, identifier)
      const verdict = await this.#hasher.verify(password, credentials?.passwordHash, turn)
      return { attempt, credentials, failure: failureOf(credentials, verdict) }
    } catch (error) {
      await reservation.giveBack()
      throw error
    }
  }

  /** Of nobody: looked up once more, so that an unknown person costs your database what a known one does. */
  async #credentials(userId: UserId | undefined, identifier: string | undefined): Promise<Credentials | undefined> {
    if (userId !== undefined) return (await this.#users.findCredentials(userId)) ?? undefined
    if (identifier !== undefined) await this.#users.findUser(identifier)
    return undefined
  }

  async #proveAgain(session: Session, password: string): Promise<Proof | Invalid | Throttled> {
    assertSignedIn(session)
    return this.#prove(this.#sessions.requestOf(session), session.userId, password)
  }

  async #prove(request: SessionRequest, userId: UserId, password: string): Promise<Proof | Invalid | Throttled> {
    if (!isUsablePassword(password)) return INVALID
    const reservation = await this.#throttle.reauthentication(accountOf(userId))
    if (!reservation.ok) {
      this.#events.emit('reauthentication.throttled', { ...clientOf(request), userId, retryAfter: reservation.retryAfter })
      return throttled(reservation)
    }
    const checked = await this.#check(reservation, turnOf(userId), password, userId)
    if (checked.failure !== undefined) {
      this.#events.emit('reauthentication.failed', { ...clientOf(request), userId })
      this.#tellLast(request, userId, reservation)
      return INVALID
    }
    await reservation.succeed()
    return { ok: true, userId, ...checked }
  }

  #tellFailure(request: SessionRequest, userId: UserId | undefined, why: LoginFailure, reservation: Reservation): void {
    this.#events.emit('login.failed', { ...clientOf(request), userId, why })
    this.#tellLast(request, userId, reservation)
  }

  #tellLast(request: SessionRequest, userId: UserId | undefined, { lastOfAccount }: Reservation): void {
    if (lastOfAccount) this.#events.emit('login.many-failures', { ...clientOf(request), userId })
  }

  /**
   * The person is in already: whatever goes wrong here is told, and tried again at the next login.
   *
   * @returns the string that is stored now
   */
  async #rehash(userId: UserId, password: string, stored: string | null): Promise<string | null> {
    if (stored === null || !this.#hasher.needsRehash(stored)) return stored
    try {
      const passwordHash = await this.#hasher.hash(password, turnOf(userId))
      if (await this.#save({ userId, passwordHash, replaces: stored, why: 'rehash' })) return passwordHash
    } catch (error) {
      this.#events.emit('rehash.failed', { userId, error })
    }
    return stored
  }

  async #save(password: PasswordToSave): Promise<boolean> {
    const saved = (await this.#users.savePassword(password)) === true
    if (saved) this.#events.emit('password.saved', { userId: password.userId, why: password.why })
    return saved
  }

  /**
   * Stores the string, then ends the sessions: because of logins that had fetched the old one. The caller has ended them
   * before, too, so that an outage is met while nothing has changed, and a crash between the two leaves no thief signed in.
   */
  async #saveThenRevoke(change: PasswordToSave, spared: ExceptOptions): Promise<boolean> {
    if (!(await this.#save(change))) return false
    const revoke = () => this.#sessions.revokeUser(change.userId, spared)
    await revoke().catch(revoke)
    return true
  }

  async #sendQuietly(userId: UserId): Promise<void> {
    try {
      await this.startReset(userId)
    } catch (error) {
      this.#events.emit('reset.unsent', { userId, error })
    }
  }

  #needHook(name: 'sendReset' | 'disableUser' | 'enableUser'): void {
    if (typeof this.#users[name] === 'function') return
    throw new CoatcheckError('BAD_OPTION', `createAuth({ ${name} }) is missing, and this needs it.`)
  }

  async #tellReuse(id: string, ip: string | null): Promise<void> {
    if (!this.#events.heard('token.reused')) return
    const info = await this.#sessions.get(id)
    const agoMs = this.#settings.now() - (info?.authenticatedAt?.getTime() ?? Number.POSITIVE_INFINITY)
    if (info?.userId == null || agoMs < PARALLEL_MS) return
    this.#events.emit('token.reused', { userId: info.userId, sessionId: id, ip, agoMs })
  }
}

/**
 * What was typed counts where there is an account, too: whoever fills the count of one spelling finds every other one
 * refused that folds to it, there as where there is nobody. Of nobody there are two names all the same, so that the
 * limiter is asked as often.
 */
function namesOf(userId: UserId | undefined, identifier: string): readonly string[] {
  const typed = foldIdentifier(identifier)
  return [`identifier ${typed}`, userId === undefined ? `nobody ${typed}` : accountOf(userId)]
}

function turnOf(userId: UserId): Turn {
  return { known: accountOf(userId) }
}

function accountOf(userId: UserId): string {
  return `user ${String(userId)}`
}

function clientOf({ ip, userAgent }: SessionRequest) {
  return { ip, userAgent }
}

function keyOf(sessions: Sessions, purpose: string): Buffer {
  return sessions.deriveKeys(purpose)[0] as Buffer
}

/**
 * Passwords, throttled sign-in, password change and reset, and step-up for one application.
 *
 * ```ts
 * const auth = createAuth({ sessions, findUser, findCredentials, savePassword, limiter: sqliteLimiter('app.db') })
 * const result = await auth.login(req.session, { identifier: email, password, remember })
 * ```
 *
 * @throws CoatcheckError `BAD_OPTION` at once, for anything missing, malformed, or too weak for production
 */
export function createAuth(options: AuthOptions): Auth {
  return new Auth(options)
}
