import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { service } from '../../../../test/services/service.ts'
import { checkFresh, checkRole } from '../../src/core/guard.ts'
import type { Session } from '../../src/core/session.ts'
import type { Sessions } from '../../src/core/sessions.ts'
import type { SessionStore } from '../../src/core/store.ts'
import type { Gate, StoreSpace } from '../../src/testing/index.ts'
import type { Engine } from '../core/world.ts'
import { startTcpProxy, type TcpProxy } from '../stores/tcp-proxy.ts'
import { type Backend, type BackendName, backends, type Link } from './backends.ts'
import { delays } from './delays.ts'
import { awaitedStore, remoteStore } from './indirect-store.ts'
import { Peer } from './peer-process.ts'
import { RemoteEngine } from './remote-engine.ts'
import { type Deafness, Side, type SideOptions } from './side.ts'

interface Running {
  readonly link: Link
  readonly peer: Peer
}

/** Each backend, each client of Redis and each kind of its server. */
export const EACH_ONCE = ['sqlite', 'redis over redis', 'redis-cluster over ioredis', 'postgres', 'mongo', 'memcached']

/** This process and another one, each with a connection of its own to one backend. */
export class TwoProcesses {
  readonly name: BackendName
  readonly backend: Backend
  /** Why it cannot be tested here. */
  readonly missing: string | undefined
  readonly #url: string
  #folder: string | undefined
  #running: Running | undefined
  #proxy: TcpProxy | undefined

  private constructor(
    name: BackendName,
    { url = '', missing }: { readonly url?: string | undefined; readonly missing?: string | undefined },
  ) {
    this.name = name
    this.backend = backends[name]
    this.missing = missing
    this.#url = url
  }

  /** Over a backend, not started yet. Ask at the top level of a test file. */
  static async over(name: BackendName): Promise<TwoProcesses> {
    const { service: needed, start }: Backend = backends[name]
    if (needed !== undefined) return new TwoProcesses(name, await service(needed))
    if (start === undefined) return new TwoProcesses(name, {})
    const started = await start()
    if ('missing' in started) return new TwoProcesses(name, started)
    afterAll(started.stop)
    return new TwoProcesses(name, started)
  }

  /** Over each backend that processes can share. */
  static async overEach(): Promise<readonly TwoProcesses[]> {
    const shared = (Object.keys(backends) as BackendName[]).filter(name => !('alone' in backends[name]))
    const found: TwoProcesses[] = []
    for (const name of shared) found.push(await TwoProcesses.over(name))
    return found
  }

  async start(watchUrl?: string): Promise<void> {
    const url = this.#url === '' ? this.#newFolder() : this.#url
    const connecting = watchUrl === undefined ? this.backend.connect(url) : this.backend.connect(url, url)
    const [link, peer] = await Promise.all([connecting, Peer.start(this.name, url, watchUrl)])
    this.#running = { link, peer }
  }

  /** As `start`, but that the watches of the other process come through a proxy, and only they. */
  async startProxied(): Promise<TcpProxy> {
    const through = new URL(this.#url)
    this.#proxy = await startTcpProxy(Number(through.port))
    through.port = new URL(this.#proxy.url).port
    // Else the driver goes on to where the member says that it is.
    if (through.protocol === 'mongodb:') through.search = '?directConnection=true'
    await this.start(through.href)
    return this.#proxy
  }

  /** Stops the other process, as a machine does that sleeps. */
  freeze(): void {
    this.#now.peer.freeze()
  }

  thaw(): void {
    this.#now.peer.thaw()
  }

  #newFolder(): string {
    this.#folder = mkdtempSync(join(tmpdir(), 'coatcheck-'))
    return this.#folder
  }

  async end(): Promise<void> {
    await this.#running?.peer.end()
    await this.#running?.link.close()
    await this.#proxy?.close()
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true })
  }

  get #now(): Running {
    if (this.#running === undefined) throw new Error('start() comes first.')
    return this.#running
  }

  /** A space of its own, with a store over it in this process and one in the other. */
  async openStores(
    options: SideOptions = {},
  ): Promise<{ readonly here: SessionStore; readonly there: SessionStore } & Pick<StoreSpace, 'plant' | 'close'>> {
    const { link, peer } = this.#now
    const space = newName()
    await link.make(space)
    const shape = await peer.call('open', space, options)
    const { plant } = link
    return {
      here: link.open(space),
      there: remoteStore(peer, space, shape),
      ...(plant && { plant: id => plant(space, id) }),
      async close() {
        await peer.call('close', space)
        await link.drop(space)
      },
    }
  }

  /** A space of its own, with an engine over it in this process and one in the other. */
  openEngines(options: SideOptions = {}, now?: () => number): Engines {
    return new Engines(this.#now, options, now)
  }
}

/** One of the two, its engine over the space, and levers on it. */
export interface Process {
  readonly name: string
  readonly engine: Engine
  /** How often its engine has read the store. */
  reads(): Promise<number>
  /** Ids that its engine has begun, whatever came of them. */
  begun(): Promise<readonly string[]>
  /** Resolves once its near cache has heard of all that was changed before. */
  catchUp(): Promise<void>
  /** Whether its near cache hears of changes; see Side. */
  setDeaf(deaf: Deafness): Promise<void>
  /** As guard.ts; the code of the refusal. */
  checkFresh(session: Session, maxAgeMs: number): Promise<string | undefined>
  checkRole(session: Session, roles: readonly string[]): Promise<string | undefined>
}

/** An engine in this process (`one`) and another in the other (`two`), over one space. */
export class Engines {
  readonly #running: Running
  readonly #space = newName()
  readonly #side: Side
  readonly #remote: RemoteEngine
  /** Resolves once both stores are open, and both near caches, where there are any, are proven. */
  readonly ready: Promise<unknown>

  /** @param now where both clocks stand, if not where the machine's does */
  constructor(running: Running, options: SideOptions, now?: () => number) {
    this.#running = running
    const { link, peer } = running
    const made = link.make(this.#space)
    this.#side = new Side(awaitedStore(link.open(this.#space), made), options, now)
    const opened = made.then(() => peer.call('open', this.#space, options))
    this.ready = Promise.all([opened, this.#side.engine.ready()])
    this.#remote = new RemoteEngine(peer, this.#space, opened, now)
  }

  get one(): Sessions {
    return this.#side.engine
  }

  get two(): Engine {
    return this.#remote
  }

  /** Of this process. */
  get gate(): Gate {
    return this.#side.gate
  }

  /** What this process has heard of changes: ids, and null for everything. */
  get heard(): Set<string | null> {
    return this.#side.heard
  }

  get here(): Process {
    const side = this.#side
    return {
      name: 'this process',
      engine: side.engine,
      reads: async () => side.gate.calls.read,
      begun: async () => [...side.begun],
      catchUp: () => side.catchUp(),
      setDeaf: async deaf => side.setDeaf(deaf),
      checkFresh: async (session, maxAgeMs) => (await checkFresh(session, maxAgeMs))?.code,
      checkRole: async (session, roles) => (await checkRole(session, roles))?.code,
    }
  }

  get there(): Process {
    const { peer } = this.#running
    return {
      name: 'the other process',
      engine: this.#remote,
      reads: () => peer.call('calls', this.#space, 'read'),
      begun: () => peer.call('begun', this.#space),
      catchUp: () => this.ready.then(() => peer.call('catchUp', this.#space)),
      setDeaf: deaf => peer.call('deaf', this.#space, deaf),
      checkFresh: (session, maxAgeMs) => this.#remote.checkFresh(session, maxAgeMs),
      checkRole: (session, roles) => this.#remote.checkRole(session, roles),
    }
  }

  /** Delays every call of both stores at random, repeatably. */
  async shuffle(seed: number): Promise<void> {
    this.gate.onCall(delays(seed))
    await this.#running.peer.call('shuffle', this.#space, seed + 1)
  }

  /** Nothing is held or delayed any more, and nothing was counted. */
  async reset(): Promise<void> {
    this.gate.reset()
    await this.#running.peer.call('reset', this.#space)
  }

  async close(): Promise<void> {
    await this.ready
    await this.#side.close()
    await this.#running.peer.call('close', this.#space)
    await this.#running.link.drop(this.#space)
  }
}

function newName(): string {
  return randomBytes(8).toString('hex')
}
