import type { SessionEventName } from '../../src/core/events.ts'
import type { Exchange } from '../../src/core/exchange.ts'
import { checkFresh, checkRole } from '../../src/core/guard.ts'
import type { LoginOptions, Session } from '../../src/core/session.ts'
import type { Sessions } from '../../src/core/sessions.ts'
import type { Watch } from '../../src/core/store.ts'
import type { GatedMethod } from '../../src/testing/gate.ts'
import { facts } from '../core/world.ts'
import { type Backend, type BackendName, backends } from './backends.ts'
import { delays } from './delays.ts'
import { type SentError, sent } from './errors.ts'
import { callStore, type StoreMethod, type StoreShape, shapeOf } from './indirect-store.ts'
import { type Deafness, Side, type SideOptions } from './side.ts'

/**
 * Another process: opens the stores that it is told to, with an engine over each, and does with them what it is asked
 * over IPC: a procedure's name and arguments; the answer is its value, or its error.
 */
const [name = '', url = '', watchUrl] = process.argv.slice(2)
const backend: Backend = backends[name as BackendName]
const link = await backend.connect(url, watchUrl)

type Data = Readonly<Record<string, unknown>>

/** An exchange as it stands after an act, and what the act gave. */
export interface ExchangeState {
  readonly id: string | undefined
  readonly createdAt: Date | undefined
  readonly authenticatedAt: Date | undefined
  readonly bag: Data
  readonly owed: readonly string[]
  readonly value?: unknown
  readonly error?: SentError
}

interface Open {
  readonly engine: Sessions
  readonly exchange: Exchange
}

const sides = new Map<string, Side>()
/** Where the clock of each space stands, as the last call told; without an entry where the machine's does. */
const clocks = new Map<string, number>()
const exchanges: Open[] = []
const watches: Watch[] = []

function sideOf(space: string): Side {
  const side = sides.get(space)
  if (side === undefined) throw new Error(`The space ${space} is not open.`)
  return side
}

function sideAt(space: string, now: number | undefined): Side {
  if (now !== undefined) clocks.set(space, now)
  return sideOf(space)
}

const acts = {
  login: ({ exchange: { session } }: Open, userId: string, options?: LoginOptions) => session.login(userId, options),
  logout: ({ exchange: { session } }: Open) => session.logout(),
  rotate: ({ exchange: { session } }: Open) => session.rotate(),
  save: ({ exchange: { session } }: Open) => session.save(),
  reload: ({ exchange: { session } }: Open) => session.reload(),
  commit: ({ exchange }: Open) => exchange.commit(),
  finish: ({ exchange }: Open) => exchange.finish(),
  devices: ({ engine, exchange: { session } }: Open) => engine.devices(session),
  revokeDevice: ({ engine, exchange: { session } }: Open, id: string) => engine.revokeDevice(session, id),
  revokeOthers: ({ engine, exchange: { session } }: Open) => engine.revokeOthers(session),
  checkFresh: async ({ exchange: { session } }: Open, maxAgeMs: number) => (await checkFresh(session, maxAgeMs))?.code,
  checkRole: async ({ exchange: { session } }: Open, roles: readonly string[]) => (await checkRole(session, roles))?.code,
}

/** What can be done in a request. */
export type Acts = typeof acts

/** What an engine does outside requests. */
export type EngineMethod = 'attempt' | 'list' | 'get' | 'revoke' | 'revokeUser' | 'revokeEveryone' | 'scan' | 'prune' | 'ready'

function putBag(session: Session, bag: Data): void {
  for (const key of Object.keys(session)) if (!(key in bag)) Reflect.deleteProperty(session, key)
  Object.assign(session, bag)
}

function stateOf({ session, owed }: Exchange): ExchangeState {
  const { id, createdAt, authenticatedAt } = session
  return { id, createdAt, authenticatedAt, bag: { ...session }, owed }
}

const procedures = {
  /** Opens a store and an engine over it, whose clock stands at `now` if that is given. */
  async open(space: string, options: SideOptions = {}): Promise<StoreShape> {
    const side = new Side(link.open(space), options, () => clocks.get(space) ?? Date.now())
    sides.set(space, side)
    await side.engine.ready()
    return shapeOf(side.store)
  },
  async close(space: string): Promise<void> {
    await sideOf(space).close()
    sides.delete(space)
    clocks.delete(space)
  },
  store: (space: string, method: StoreMethod, args: readonly unknown[]): unknown => callStore(sideOf(space).store, method, args),
  /** Its number; what it hears is told as `changed <number>`. */
  async watch(space: string): Promise<number> {
    const number = watches.length
    const watch = await sideOf(space).store.watch?.(id => process.send?.({ event: `changed ${number}`, value: id }))
    return watch === undefined ? -1 : watches.push(watch) - 1
  },
  prove: (watch: number) => watches[watch]?.prove(),
  unwatch: (watch: number) => watches[watch]?.close(),
  engine(space: string, now: number | undefined, method: EngineMethod, args: readonly unknown[]): unknown {
    const { engine } = sideAt(space, now)
    return Reflect.apply(engine[method], engine, args)
  },
  /** From now on each event of the engine is told as `<space> <name>`. */
  listen(space: string, event: SessionEventName): void {
    sideOf(space).engine.on(event, value => process.send?.({ event: `${space} ${event}`, value }))
  },
  async request(space: string, now: number | undefined, cookie: string | undefined): Promise<readonly [number, ExchangeState]> {
    const { engine } = sideAt(space, now)
    const exchange = await engine.open(cookie, facts)
    return [exchanges.push({ engine, exchange }) - 1, stateOf(exchange)]
  },
  /** Does something in a request whose bag is, on the asking side, as given. */
  async act(
    space: string,
    now: number | undefined,
    request: number,
    bag: Data,
    act: keyof Acts,
    args: readonly unknown[],
  ): Promise<ExchangeState> {
    sideAt(space, now)
    const open = exchanges[request] as Open
    putBag(open.exchange.session, bag)
    try {
      const value: unknown = await Reflect.apply(acts[act], undefined, [open, ...args])
      return { ...stateOf(open.exchange), value }
    } catch (error) {
      return { ...stateOf(open.exchange), error: sent(error) }
    }
  },
  calls: (space: string, method: GatedMethod): number => sideOf(space).gate.calls[method],
  begun: (space: string): readonly string[] => [...sideOf(space).begun],
  deaf: (space: string, deaf: Deafness): void => sideOf(space).setDeaf(deaf),
  catchUp: (space: string): Promise<void> => sideOf(space).catchUp(),
  shuffle: (space: string, seed: number): void => sideOf(space).gate.onCall(delays(seed)),
  reset: (space: string): void => sideOf(space).gate.reset(),
}

/** What this process does for the one that started it. */
export type Procedures = typeof procedures

export interface Ask {
  readonly number: number
  readonly procedure: keyof Procedures
  readonly args: readonly unknown[]
}

export type Told =
  | { readonly number: number; readonly value?: unknown; readonly error?: SentError }
  | { readonly event: string; readonly value: unknown }

async function answer({ number, procedure, args }: Ask): Promise<Told> {
  try {
    return { number, value: await Reflect.apply(procedures[procedure], undefined, args) }
  } catch (error) {
    return { number, error: sent(error) }
  }
}

process.on('message', async (ask: Ask) => process.send?.(await answer(ask)))
// It ends with whoever started it.
process.on('disconnect', () => process.exit())
process.send?.({ event: 'ready', value: undefined })
