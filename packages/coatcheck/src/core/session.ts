import { CoatcheckError } from './errors.ts'
import type { Emitter, SessionEvents } from './events.ts'
import type { LoginAttempt } from './login-attempt.ts'
import type { Settings } from './options.ts'
import type { Bag, UserId } from './session-data.ts'
import type { SessionRequest } from './session-request.ts'

/** How `login` may go. */
export interface LoginOptions {
  /** True: the cookie outlives the browser window, until the absolute lifetime ends. Default false. */
  readonly remember?: boolean
  /** Keys to carry over when one person's session becomes another's; by default none are. */
  readonly keep?: readonly (keyof Bag)[]
  /** Data to set in the same write, the role for instance: after another person's data is gone, before the token leaves. */
  readonly data?: Bag
  /** From `sessions.attempt(userId)`, made before the credentials were looked up, so that no revocation is outrun. */
  readonly attempt?: LoginAttempt
}

/** What a session can do and tell. Its data are ordinary properties beside these. */
export interface SessionMethods {
  /** Public id of the record; undefined as long as nothing is stored. Safe to log and list; not the token. */
  readonly id: string | undefined
  /** When this sign-in, or visit, began. */
  readonly createdAt: Date | undefined
  /** When the person last proved who they are: set by `login` (step-up included) and by nothing else. */
  readonly authenticatedAt: Date | undefined
  /**
   * Signs `userId` in: a new token for this browser, the old one dead at once (law 1; ASVS 5.0 7.2.4). A visitor's data
   * is kept; another person's is not. Call it again for the same person after re-authentication (step-up).
   *
   * Without `options.attempt` the marks of revocation are read at this call: a revocation that came between your
   * password check and this call is then not seen.
   *
   * @throws CoatcheckError `LOGIN_OVERTAKEN`, `LOGIN_EXPIRED`, `BAD_IDENTITY`, `RESPONSE_STARTED`, `STORE_UNAVAILABLE`
   */
  login(userId: UserId, options?: LoginOptions): Promise<void>
  /** Ends the session in the store, then empties the bag and expires the cookie (ASVS 5.0 7.4.1). */
  logout(): Promise<void>
  /** A new token for the same session; the old one is dead when this resolves. */
  rotate(): Promise<void>
  /** Saves now what would be saved when the response begins. */
  save(): Promise<void>
  /** Throws this request's changes away and reads the session anew. */
  reload(): Promise<void>
}

/** A request's session: its data as properties, and the methods. */
export type Session = SessionMethods & Bag

/** A session in which somebody is signed in. */
export type SignedInSession = SessionMethods & Bag & { userId: UserId }

type Callback = (error?: unknown) => void

/** What stands behind a session object: the request's exchange. Not public. */
export interface SessionOwner {
  /** Of which `createSessions` this is; compared by identity. */
  readonly engine: object
  /** Who the data says is signed in, now; null for nobody. */
  readonly signedInAs: string | null
  /** True if a parallel request has replaced the token that this one came with. */
  readonly isSuperseded: boolean
  /** Who the stored session says is signed in, without a look at the data; null for nobody. */
  readonly userId: string | null
  /**
   * What CSRF tokens are bound to, so that rotation rotates them; undefined without a stored session. A superseded
   * token's own: it is still this browser's, and whoever needs more than that asks `isSuperseded`.
   */
  readonly tokenHash: string | undefined
  /** What keys and cookies are made from, and whether a near cache may have answered. */
  readonly settings: Pick<Settings, 'secrets' | 'signedInCookie' | 'cookiePrefix' | 'attributes' | 'nearCache'>
  readonly events: Emitter<SessionEvents>
  /** Adds a Set-Cookie value to the response, in the place of an earlier one of this name; too late, it is not sent. */
  addCookie(name: string, value: string): void
  /** Calls back whenever this request's token has been born, rotated or ended, in time for a cookie that goes with it. */
  onToken(changed: (owner: SessionOwner) => void): void
  /** The request that the session came with. */
  readonly request: SessionRequest
  /** Milliseconds since the epoch, on the engine's clock. */
  now(): number
  /** Reads again, strictly, where a near cache may have answered: before step-up, admin acts and the minting of tokens. */
  confirm(): Promise<void>
  readonly id: string | undefined
  readonly createdAt: Date | undefined
  readonly authenticatedAt: Date | undefined
  login(userId: unknown, options: LoginOptions): Promise<void>
  logout(): Promise<void>
  rotate(): Promise<void>
  save(): Promise<void>
  reload(): Promise<void>
  regenerate(): Promise<void>
}

/**
 * The object that handlers see. Its own enumerable properties are the data and nothing else, so that `JSON.stringify`
 * of it is what gets stored; what it can do stands on the prototype, out of the data's reach.
 */
class SessionObject {
  readonly #owner: SessionOwner

  constructor(owner: SessionOwner) {
    this.#owner = owner
  }

  static ownerOf(session: object): SessionOwner | undefined {
    return #owner in session ? session.#owner : undefined
  }

  get id(): string | undefined {
    return this.#owner.id
  }

  get createdAt(): Date | undefined {
    return this.#owner.createdAt
  }

  get authenticatedAt(): Date | undefined {
    return this.#owner.authenticatedAt
  }

  login(userId: unknown, options: LoginOptions = {}): Promise<void> {
    return this.#owner.login(userId, options)
  }

  logout(): Promise<void> {
    return this.#owner.logout()
  }

  rotate(): Promise<void> {
    return this.#owner.rotate()
  }

  /** With a callback for Passport and other callers of old. */
  save(callback?: Callback): Promise<void> {
    return settle(this.#owner.save(), callback)
  }

  reload(callback?: Callback): Promise<void> {
    return settle(this.#owner.reload(), callback)
  }

  /** Passport's: ends this session and puts an empty one in its place. */
  regenerate(callback?: Callback): Promise<void> {
    return settle(this.#owner.regenerate(), callback)
  }

  /** express-session's name for `logout`. */
  destroy(callback?: Callback): Promise<void> {
    return settle(this.#owner.logout(), callback)
  }
}

function settle(done: Promise<void>, callback: Callback | undefined): Promise<void> {
  if (callback === undefined) return done
  return done.then(
    () => callback(),
    (error: unknown) => callback(error),
  )
}

// Every name of the prototype becomes an accessor whose setter refuses: so neither an assignment nor an `Object.assign`
// of foreign JSON can replace a method, or the prototype itself (`__proto__`).
for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(SessionObject.prototype))) {
  reserve(name, descriptor.get ?? constant(descriptor.value))
}
reserve('__proto__', constant(SessionObject.prototype))

function reserve(name: string, get: () => unknown): void {
  Object.defineProperty(SessionObject.prototype, name, {
    get,
    set() {
      throw new CoatcheckError(
        'RESERVED_KEY',
        `'${name}' cannot be a key of session data: it is the session's own. Choose another name.`,
      )
    },
  })
}

function constant(value: unknown): () => unknown {
  return () => value
}

/** A new session object over `owner`, without data. */
export function createSession(owner: SessionOwner): Session {
  return new SessionObject(owner) as Session
}

/** Puts the data of `json` into an empty session. */
export function fillSession(session: Session, json: string): void {
  if (json === '{}') return
  const bag: Bag = session
  assignData(bag, JSON.parse(json) as Bag)
}

function assignData(bag: Record<string, unknown>, data: Record<string, unknown>): void {
  for (const key in data) bag[key] = data[key]
}

/**
 * The data as the JSON text that is stored.
 *
 * @throws CoatcheckError `BAD_SESSION_DATA` for what JSON cannot hold: a cycle, a bigint, a `toJSON` that throws
 */
export function sessionText(session: Session): string {
  try {
    return JSON.stringify(session)
  } catch (cause) {
    throw new CoatcheckError(
      'BAD_SESSION_DATA',
      'The session holds something that JSON cannot: a cycle, a bigint or the like. Store plain values, or an id.',
      { cause },
    )
  }
}

/** Removes all data but the `kept` keys. */
export function emptySession(session: Session, kept: readonly (keyof Bag)[] = []): void {
  for (const key of Object.keys(session) as (keyof Bag)[]) if (!kept.includes(key)) delete session[key]
}

/**
 * The exchange behind a session object.
 *
 * @throws CoatcheckError `NO_SESSION` if it is none of ours
 */
export function ownerOf(session: unknown): SessionOwner {
  const owner = typeof session === 'object' && session !== null ? SessionObject.ownerOf(session) : undefined
  if (owner !== undefined) return owner
  throw new CoatcheckError(
    'NO_SESSION',
    'This is no Coatcheck session. Put app.use(session(sessions)) before the code that reads req.session.',
  )
}
