import type { SessionEventName, SessionEvents } from '../../src/core/events.ts'
import type { Exchange, Outgoing } from '../../src/core/exchange.ts'
import type { LoginOptions, Session, SessionMethods } from '../../src/core/session.ts'
import type { Sessions } from '../../src/core/sessions.ts'
import type { Engine } from '../core/world.ts'
import { received } from './errors.ts'
import type { Acts, EngineMethod, ExchangeState } from './peer.ts'
import type { Peer } from './peer-process.ts'

/** The engine that another process has over a space. Its requests are made there; their bags are here until they are sent. */
export class RemoteEngine implements Engine {
  readonly #peer: Peer
  readonly #space: string
  readonly #opened: Promise<unknown>
  readonly #now: () => number | undefined

  /**
   * @param opened what has to be done before the first call
   * @param now where the other process's clock stands, if not where the machine's does
   */
  constructor(peer: Peer, space: string, opened: Promise<unknown>, now: () => number | undefined = () => undefined) {
    this.#peer = peer
    this.#space = space
    this.#opened = opened
    this.#now = now
  }

  async open(cookie: string | undefined): Promise<Exchange> {
    await this.#opened
    const [number, state] = await this.#peer.call('request', this.#space, this.#now(), cookie)
    return new RemoteExchange(state, (bag, act, args) => this.#peer.call('act', this.#space, this.#now(), number, bag, act, args))
  }

  on<Name extends SessionEventName>(name: Name, listener: (event: SessionEvents[Name]) => unknown): () => void {
    let on = true
    this.#peer.on(`${this.#space} ${name}`, event => on && listener(event as SessionEvents[Name]))
    void this.#opened.then(() => this.#peer.call('listen', this.#space, name))
    return () => {
      on = false
    }
  }

  attempt = this.#method('attempt')
  list = this.#method('list')
  get = this.#method('get')
  revoke = this.#method('revoke')
  revokeUser = this.#method('revokeUser')
  revokeEveryone = this.#method('revokeEveryone')

  devices(session: Session): ReturnType<Engine['devices']> {
    return RemoteExchange.of(session).act('devices')
  }

  revokeDevice(session: Session, id: string): Promise<boolean> {
    return RemoteExchange.of(session).act('revokeDevice', id)
  }

  revokeOthers(session: Session): Promise<number> {
    return RemoteExchange.of(session).act('revokeOthers')
  }

  async checkFresh(session: Session, maxAgeMs: number): Promise<string | undefined> {
    return RemoteExchange.of(session).act('checkFresh', maxAgeMs)
  }

  async checkRole(session: Session, roles: readonly string[]): Promise<string | undefined> {
    return RemoteExchange.of(session).act('checkRole', roles)
  }

  #method<Name extends EngineMethod>(method: Name) {
    return async (...args: Parameters<Sessions[Name]>): Promise<Awaited<ReturnType<Sessions[Name]>>> => {
      await this.#opened
      return (await this.#peer.call('engine', this.#space, this.#now(), method, args)) as Awaited<ReturnType<Sessions[Name]>>
    }
  }
}

type Arguments<Act extends keyof Acts> = Acts[Act] extends (open: never, ...args: infer Args) => unknown ? Args : never
type Perform = (bag: Readonly<Record<string, unknown>>, act: keyof Acts, args: readonly unknown[]) => Promise<ExchangeState>

/** A request that is answered in another process. */
class RemoteExchange implements Exchange {
  static readonly #all = new WeakMap<Session, RemoteExchange>()
  readonly touched = true
  readonly session: Session
  readonly #perform: Perform
  #state: ExchangeState

  constructor(state: ExchangeState, perform: Perform) {
    this.#state = state
    this.#perform = perform
    this.session = new RemoteSession(this) as Session
    Object.assign(this.session, state.bag)
    RemoteExchange.#all.set(this.session, this)
  }

  static of(session: Session): RemoteExchange {
    const exchange = RemoteExchange.#all.get(session)
    if (exchange === undefined) throw new Error('This session is not of another process.')
    return exchange
  }

  get state(): ExchangeState {
    return this.#state
  }

  get owed(): readonly string[] {
    return this.#state.owed
  }

  commit(): Promise<Outgoing> {
    return this.act('commit')
  }

  finish(): Promise<void> {
    return this.act('finish')
  }

  /** Sends the bag as it is now, and takes over what the act left. */
  async act<Act extends keyof Acts>(act: Act, ...args: Arguments<Act>): Promise<Awaited<ReturnType<Acts[Act]>>> {
    this.#state = await this.#perform({ ...this.session }, act, args)
    for (const key of Object.keys(this.session)) Reflect.deleteProperty(this.session, key)
    Object.assign(this.session, this.#state.bag)
    if (this.#state.error !== undefined) throw received(this.#state.error)
    return this.#state.value as Awaited<ReturnType<Acts[Act]>>
  }
}

class RemoteSession implements SessionMethods {
  readonly #exchange: RemoteExchange

  constructor(exchange: RemoteExchange) {
    this.#exchange = exchange
  }

  get id(): string | undefined {
    return this.#exchange.state.id
  }

  get createdAt(): Date | undefined {
    return this.#exchange.state.createdAt
  }

  get authenticatedAt(): Date | undefined {
    return this.#exchange.state.authenticatedAt
  }

  login(userId: string, options?: LoginOptions): Promise<void> {
    return this.#exchange.act('login', userId, options)
  }

  logout(): Promise<void> {
    return this.#exchange.act('logout')
  }

  rotate(): Promise<void> {
    return this.#exchange.act('rotate')
  }

  save(): Promise<void> {
    return this.#exchange.act('save')
  }

  reload(): Promise<void> {
    return this.#exchange.act('reload')
  }
}
