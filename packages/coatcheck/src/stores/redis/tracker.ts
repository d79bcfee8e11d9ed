import type { Argument, Run } from './client.ts'

/** What a tracker tells. */
interface TrackerEvents {
  /** A key under one of our prefixes has changed; null for all of them. */
  changed(key: string | null): void
  /** From here on it tells nothing. */
  lost(cause: unknown): void
}

/**
 * A connection of our own to one server, which tells us by itself of every change under our prefixes. What proves it goes
 * over the client that reads go over: where that one is led to another master (a failover behind one name), nothing that
 * is written there is told here, and the proof fails.
 */
export interface Tracker {
  /** Connects, and has the server tell from here on. */
  open(prefixes: readonly string[]): Promise<void>
  /** Runs what proves it, over the user's client. */
  readonly run: Run
  /** Ends it at once. */
  destroy(): void
}

export type MakeTracker = (events: TrackerEvents) => Tracker

/** What we call of a `redis` client to make a connection of our own like it. */
export interface DuplicableNodeRedis {
  readonly options?: { readonly socket?: object }
  duplicate(options: object): TrackingNodeRedis
}

interface TrackingNodeRedis {
  connect(): Promise<unknown>
  sendCommand(args: Argument[]): Promise<unknown>
  on(event: 'invalidate' | 'error' | 'end', heard: (what?: unknown) => void): unknown
  destroy(): void
}

/** Over `redis`, which tells of what RESP 3 pushes. */
export function trackByNodeRedis(client: DuplicableNodeRedis, run: Run): MakeTracker {
  return events => {
    const own = client.duplicate({
      RESP: 3,
      emitInvalidate: true,
      clientSideCache: undefined,
      // A handed-over or renewed connection tracks nothing, and would not say so.
      maintNotifications: 'disabled',
      socket: { ...client.options?.socket, reconnectStrategy: false },
      disableOfflineQueue: true,
    })
    // FLUSHALL and FLUSHDB are told as null.
    own.on('invalidate', key => events.changed(key === null ? null : String(key)))
    own.on('error', events.lost)
    own.on('end', () => events.lost(new Error('The tracking connection ended.')))
    return {
      async open(prefixes) {
        await own.connect()
        // The client has switched on the plain mode, which tells only of keys that this connection has read.
        await own.sendCommand(['CLIENT', 'TRACKING', 'OFF'])
        await own.sendCommand(['CLIENT', 'TRACKING', 'ON', 'BCAST', ...prefixArguments(prefixes)])
      },
      run,
      destroy: () => own.destroy(),
    }
  }
}

/** What we call of an `ioredis` client to make a connection of our own like it. */
export interface DuplicableIoredis {
  duplicate(options: object): TrackingIoredis
}

interface TrackingIoredis {
  connect(): Promise<unknown>
  call(command: string, ...args: string[]): Promise<unknown>
  subscribe(channel: string): Promise<unknown>
  on(event: 'messageBuffer', heard: (channel: Buffer, keys: unknown) => void): unknown
  on(event: 'error' | 'end', heard: (cause?: unknown) => void): unknown
  disconnect(): void
}

/** Where a server of RESP 2 tells of changes. */
const INVALIDATIONS = '__redis__:invalidate'

/**
 * Over `ioredis`, which drops what RESP 3 tells: RESP 2 tells it as messages to a connection that subscribed. The server
 * tracks for that connection itself, and not for another one that redirects to it, which could die without a sign.
 */
export function trackByIoredis(client: DuplicableIoredis, run: Run): MakeTracker {
  return events => {
    const own = client.duplicate({
      protocol: 2,
      lazyConnect: true,
      retryStrategy: null,
      sentinelRetryStrategy: null,
      reconnectOnError: null,
      autoResubscribe: false,
      enableOfflineQueue: false,
    })
    own.on('messageBuffer', (_channel, keys) => {
      if (Array.isArray(keys)) for (const key of keys) events.changed(String(key))
      else events.changed(null)
    })
    own.on('error', events.lost)
    own.on('end', () => events.lost(new Error('The tracking connection ended.')))
    return {
      async open(prefixes) {
        await own.connect()
        const id = String(await own.call('CLIENT', 'ID'))
        await own.call('CLIENT', 'TRACKING', 'ON', 'REDIRECT', id, 'BCAST', ...prefixArguments(prefixes))
        await own.subscribe(INVALIDATIONS)
      },
      run,
      destroy: () => own.disconnect(),
    }
  }
}

function prefixArguments(prefixes: readonly string[]): readonly string[] {
  return prefixes.flatMap(prefix => ['PREFIX', prefix])
}
