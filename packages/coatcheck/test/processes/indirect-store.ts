import type { SessionStore, Watch } from '../../src/core/store.ts'
import type { Peer } from './peer-process.ts'

export type StoreMethod = Exclude<keyof SessionStore, 'name' | 'developmentOnly' | 'cannot' | 'watch' | 'close'>
type Call<Name extends StoreMethod> = NonNullable<SessionStore[Name]>

/** What a store is besides its methods. */
export interface StoreShape {
  readonly name: string
  readonly cannot?: SessionStore['cannot']
  /** Which of the optional ones it has. */
  readonly prunes: boolean
  readonly watches: boolean
}

export function shapeOf({ name, cannot, prune, watch }: SessionStore): StoreShape {
  return { name, ...(cannot && { cannot }), prunes: prune !== undefined, watches: watch !== undefined }
}

export function callStore(store: SessionStore, method: StoreMethod, args: readonly unknown[]): unknown {
  const call = store[method]
  if (call === undefined) throw new Error(`${store.name} has no ${method}.`)
  return Reflect.apply(call, store, args)
}

/** Where the calls of a store are made. */
interface Elsewhere {
  call(method: StoreMethod, args: readonly unknown[]): Promise<unknown>
  watch(changed: (id: string | null) => void): Promise<Watch>
}

function storeElsewhere(shape: StoreShape, elsewhere: Elsewhere): SessionStore {
  const call =
    <Name extends StoreMethod>(method: Name) =>
    async (...args: Parameters<Call<Name>>): Promise<Awaited<ReturnType<Call<Name>>>> =>
      (await elsewhere.call(method, args)) as Awaited<ReturnType<Call<Name>>>
  return {
    name: shape.name,
    ...(shape.cannot && { cannot: shape.cannot }),
    read: call('read'),
    create: call('create'),
    replace: call('replace'),
    touch: call('touch'),
    delete: call('delete'),
    listByUser: call('listByUser'),
    marks: call('marks'),
    revokeUser: call('revokeUser'),
    revokeEveryone: call('revokeEveryone'),
    scan: call('scan'),
    ...(shape.prunes && { prune: call('prune') }),
    ...(shape.watches && { watch: changed => elsewhere.watch(changed) }),
  }
}

/** The store that another process has over a space, as one of this process. */
export function remoteStore(peer: Peer, space: string, shape: StoreShape): SessionStore {
  return storeElsewhere(shape, {
    call: (method, args) => peer.call('store', space, method, args),
    async watch(changed) {
      const number = await peer.call('watch', space)
      // It comes over the same channel as the proof, and so before it.
      peer.on(`changed ${number}`, id => changed(id as string | null))
      return {
        prove: async () => void (await peer.call('prove', number)),
        close: async () => void (await peer.call('unwatch', number)),
      }
    },
  })
}

/** The same store, whose calls wait until its space is made. */
export function awaitedStore(store: SessionStore, made: Promise<unknown>): SessionStore {
  return storeElsewhere(shapeOf(store), {
    call: (method, args) => made.then(() => callStore(store, method, args)),
    watch: changed => made.then(() => store.watch?.(changed) ?? Promise.reject(new Error('This store has no watch.'))),
  })
}
