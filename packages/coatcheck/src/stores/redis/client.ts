import { createHash } from 'node:crypto'
import { within } from '../../core/clock.ts'
import { CoatcheckError } from '../../core/errors.ts'
import {
  type DuplicableIoredis,
  type DuplicableNodeRedis,
  type MakeTracker,
  trackByIoredis,
  trackByNodeRedis,
} from './tracker.ts'

/** A part of a command. Records are bytes. */
export type Argument = string | Buffer

/** Runs one command, its name first. What is stored comes back as Buffers. */
export type Run = (args: readonly Argument[]) => Promise<unknown>

/** How we ask a client of `redis` for Buffers. */
interface NodeRedisCommandOptions {
  readonly typeMapping: { readonly 36: typeof Buffer }
}

/** What we call of a `redis` (node-redis) client, or of a pool of such. */
export interface NodeRedisClient {
  sendCommand(args: Argument[], options?: NodeRedisCommandOptions): Promise<unknown>
}

/** What we call of a `redis` Sentinel client. */
export interface NodeRedisSentinel {
  sendCommand(isReadonly: boolean | undefined, args: Argument[], options?: NodeRedisCommandOptions): Promise<unknown>
  /** Told apart by this. */
  getMasterNode(): unknown
}

/** What we call of a `redis` cluster: it finds the node by the first key. */
export interface NodeRedisCluster<Node = unknown> {
  sendCommand(
    firstKey: string | undefined,
    isReadonly: boolean | undefined,
    args: Argument[],
    options?: NodeRedisCommandOptions,
  ): Promise<unknown>
  /** Told apart from a single client by these. */
  readonly masters: Node[]
  nodeClient(node: Node): NodeRedisClient | Promise<NodeRedisClient>
}

/** What we call of an `ioredis` client, Sentinel included. */
export interface IoredisClient {
  callBuffer(command: string, ...args: Argument[]): Promise<unknown>
}

/** What we call of an `ioredis` cluster. */
export interface IoredisCluster extends IoredisClient {
  readonly isCluster: true
  /** 'ready' when it knows its nodes. */
  readonly status: string
  once(event: 'ready', heard: () => void): unknown
  nodes(role: 'master'): IoredisClient[]
}

/** A client that you made, connected, and will close. */
export type RedisClient =
  | NodeRedisClient
  | NodeRedisSentinel
  // biome-ignore lint/suspicious/noExplicitAny: a cluster's own node type is its own business; we only hand nodes back.
  | NodeRedisCluster<any>
  | IoredisClient
  | IoredisCluster

/** The kinds of clients as one. */
export interface RedisLink {
  readonly isCluster: boolean
  /** The number of the database that the client was made for. */
  readonly database: number
  /** Runs a command on the node that holds `key`. */
  run(key: string, args: readonly Argument[]): Promise<unknown>
  /** A runner for each master; one for a single server. */
  masters(): Promise<readonly Run[]>
  /** What follows each master, for `watch`; or why nothing can. */
  readonly trackers: (() => Promise<readonly MakeTracker[]>) | string
}

/** Strings of the protocol (RESP's type `$`) as Buffers. */
const AS_BUFFERS: NodeRedisCommandOptions = { typeMapping: { 36: Buffer } }

/**
 * The link over whichever client was handed in. A command that is not answered within `timeoutMs` fails: clients keep
 * what they could not send for as long as their server is away, and a request must not wait for that.
 *
 * @throws CoatcheckError `BAD_OPTION` for what is no client of `redis` or `ioredis`, or one set up in a way that breaks us
 */
export function linkOf(client: RedisClient, timeoutMs: number): RedisLink {
  const link = unboundLinkOf(client)
  const { trackers } = link
  const bound =
    (run: Run): Run =>
    args =>
      within(timeoutMs, run(args))
  return {
    ...link,
    run: (key, args) => within(timeoutMs, link.run(key, args)),
    masters: async () => (await within(timeoutMs, link.masters())).map(bound),
    trackers: typeof trackers === 'string' ? trackers : () => within(timeoutMs, trackers()),
  }
}

function unboundLinkOf(client: RedisClient): RedisLink {
  if (isIoredis(client)) return ioredisLink(client)
  if (isNodeRedisCluster(client)) return nodeRedisClusterLink(client)
  if (isNodeRedisSentinel(client)) {
    const run: Run = args => client.sendCommand(false, [...args], AS_BUFFERS)
    return singleLink(
      client,
      run,
      "a Sentinel client of 'redis' gives no connection of our own: there is no near cache over it yet",
    )
  }
  if (!hasMethod<NodeRedisClient>(client, 'sendCommand')) {
    throw bad("takes a client or cluster of 'redis' or 'ioredis' that you made and connected.")
  }
  const isPlain = hasMethod<DuplicableNodeRedis>(client, 'duplicate') && !('totalClients' in client)
  const run: Run = args => client.sendCommand([...args], AS_BUFFERS)
  const trackers = isPlain ? async () => [trackByNodeRedis(client, run)] : 'it was given a pool: give redisStore a single client'
  return singleLink(client, run, trackers)
}

function singleLink(client: object, run: Run, trackers: RedisLink['trackers']): RedisLink {
  const { db, database = db ?? 0 } = optionsOf(client)
  return { isCluster: false, database: Number(database), run: (_key, args) => run(args), masters: async () => [run], trackers }
}

function nodeRedisClusterLink(client: NodeRedisCluster): RedisLink {
  const nodes = () => Promise.all(client.masters.map(node => client.nodeClient(node)))
  const runOf =
    (node: NodeRedisClient): Run =>
    args =>
      node.sendCommand([...args], AS_BUFFERS)
  const tracker = (node: NodeRedisClient) => {
    if (hasMethod<DuplicableNodeRedis>(node, 'duplicate')) return trackByNodeRedis(node, runOf(node))
    throw bad("needs a cluster of 'redis' whose nodes can be duplicated for a near cache.")
  }
  return {
    isCluster: true,
    database: 0,
    run: (key, args) => client.sendCommand(key, false, [...args], AS_BUFFERS),
    masters: async () => (await nodes()).map(runOf),
    trackers: async () => (await nodes()).map(tracker),
  }
}

function ioredisLink(client: IoredisClient): RedisLink {
  const { keyPrefix, scaleReads = 'master', role = 'master' } = optionsOf(client)
  if (keyPrefix) throw bad('cannot use an ioredis client with keyPrefix (a scan would not see it): use the option prefix.')
  if (scaleReads !== 'master') throw bad("needs scaleReads: 'master': a replica would still serve a session that was ended.")
  if (role !== 'master') throw bad("needs role: 'master': a replica would still serve a session that was ended.")
  const run = runOf(client)
  const tracker = (node: IoredisClient) => {
    if (hasMethod<DuplicableIoredis>(node, 'duplicate')) return trackByIoredis(node, runOf(node))
    throw bad('needs an ioredis client that can be duplicated for a near cache.')
  }
  if (!isIoredisCluster(client)) return singleLink(client, run, async () => [tracker(client)])
  const masters = async () => {
    // Before that it has none, and a scan of none would say that nobody is signed in.
    if (client.status !== 'ready') await new Promise<void>(resolve => client.once('ready', resolve))
    return client.nodes('master')
  }
  return {
    isCluster: true,
    database: 0,
    run: (_key, args) => run(args),
    masters: async () => (await masters()).map(runOf),
    trackers: async () => (await masters()).map(tracker),
  }
}

/** What we look at of a client's own options. */
interface ClientOptions {
  /** What `redis` calls it. */
  readonly database?: unknown
  /** What `ioredis` calls it. */
  readonly db?: unknown
  readonly keyPrefix?: unknown
  readonly scaleReads?: unknown
  /** Of a Sentinel client: whom to ask for. */
  readonly role?: unknown
}

function optionsOf(client: object): ClientOptions {
  return 'options' in client && typeof client.options === 'object' && client.options !== null ? client.options : {}
}

function bad(what: string): CoatcheckError {
  return new CoatcheckError('BAD_OPTION', `redisStore ${what}`)
}

function runOf(client: IoredisClient): Run {
  return ([command = '', ...args]) => client.callBuffer(String(command), ...args)
}

function isIoredis(client: unknown): client is IoredisClient {
  // ioredis has a sendCommand too, of another form.
  return hasMethod<IoredisClient>(client, 'callBuffer') && hasMethod(client, 'defineCommand')
}

function isIoredisCluster(client: unknown): client is IoredisCluster {
  return isIoredis(client) && 'isCluster' in client && client.isCluster === true
}

function isNodeRedisCluster(client: unknown): client is NodeRedisCluster {
  return hasMethod<NodeRedisCluster>(client, 'nodeClient') && hasMethod(client, 'sendCommand')
}

function isNodeRedisSentinel(client: unknown): client is NodeRedisSentinel {
  return hasMethod<NodeRedisSentinel>(client, 'getMasterNode') && hasMethod(client, 'sendCommand')
}

function hasMethod<Shape>(value: unknown, name: string): value is Shape {
  return typeof value === 'object' && value !== null && typeof (value as Record<string, unknown>)[name] === 'function'
}

/** A script and its SHA-1, by which the server knows it. */
export class Script {
  readonly #text: string
  readonly #sha: string

  constructor(text: string) {
    this.#text = text
    this.#sha = createHash('sha1').update(text).digest('hex')
  }

  /** Runs it on the node of the first key; sends the text only where the server does not have it yet. */
  async run(link: RedisLink, keys: readonly [string, ...string[]], args: readonly Argument[]): Promise<unknown> {
    const rest = [String(keys.length), ...keys, ...args]
    try {
      return await link.run(keys[0], ['EVALSHA', this.#sha, ...rest])
    } catch (error) {
      if (!messageOf(error).startsWith('NOSCRIPT')) throw withSize(error, args)
      return link.run(keys[0], ['EVAL', this.#text, ...rest])
    }
  }
}

/** The smallest proto-max-bulk-len that Redis can be given. */
const SMALLEST_BULK_LIMIT = 1024 * 1024

/** Redis closes the connection on a value that is too large for it: the kernel may drop its reason with what was unread. */
function withSize(error: unknown, args: readonly Argument[]): unknown {
  const isLarge = args.some(argument => argument.length > SMALLEST_BULK_LIMIT)
  return isLarge && CONNECTION_LOST.test(messageOf(error)) ? new Error('closed on a large value', { cause: error }) : error
}

const CONNECTION_LOST = /ECONNREFUSED|ENOTFOUND|ETIMEDOUT|ECONNRESET|EPIPE|closed|disconnect|offline|root nodes are unavailable/i

/** From within a script Redis 6.2 says its codes behind words of its own: "… @user_script: 1: -OOM command not allowed …". */
const coded = (codes: string) => new RegExp(`(^|[-:] ?)(${codes}) `)

const READ_ONLY = coded('READONLY')
const OUT_OF_MEMORY = coded('OOM')
const DISK_FAILS = coded('MISCONF')
const MEMORY_OR_DISK = coded('OOM|MISCONF')
const WRONG_TYPE = coded('WRONGTYPE')

/** What each of the server's refusals means, and what to do. */
const remedies: readonly [RegExp, string][] = [
  [/^(NOAUTH|WRONGPASS)/, 'the password or user is wrong: check the URL that the client was made with'],
  [
    /^NOPERM|executing the script can't run/,
    'its user may not run a command that Coatcheck needs: see docs/stores/redis.md for the list',
  ],
  [READ_ONLY, 'it is a read-only replica: connect to the master, or through Sentinel'],
  [OUT_OF_MEMORY, 'its memory is full (maxmemory), and it takes no more: give it more, or end sessions sooner'],
  [DISK_FAILS, 'it cannot write to its disk, and so takes no writes: free the disk'],
  [
    coded('NOREPLICAS'),
    'fewer replicas are connected than min-replicas-to-write asks for, and it takes no writes: bring one back',
  ],
  [/^(MOVED|ASK|CROSSSLOT)/, "it is a node of a Cluster: make the client with createCluster ('redis') or Cluster ('ioredis')"],
  [
    /^(CLUSTERDOWN|TRYAGAIN|MASTERDOWN|LOADING|BUSY)/,
    'it is not ready: a failover, a resharding, a start or a long script is under way',
  ],
  [/invalid bulk length/, 'a session is larger than proto-max-bulk-len: raise that, or lower maxDataBytes'],
  [
    /^closed on a large value/,
    'the connection was lost while a session of over 1 MiB was sent: ' +
      'if that is larger than proto-max-bulk-len raise the limit, or lower maxDataBytes',
  ],
  [/unknown command|syntax error/i, 'it does not know a command that Coatcheck needs: Redis 6.2 or later, or Valkey'],
  [/database|DB index|SELECT/i, 'the database number is wrong; a Cluster has none but 0'],
  [CONNECTION_LOST, "it cannot be reached: check the URL, that the client is connected, and what its 'error' listener was told"],
]

/** True if the server refused a write because its memory is full. */
export function isOutOfMemory(error: unknown): boolean {
  return OUT_OF_MEMORY.test(messageOf(error))
}

/** True if the server refused a write because it is a replica. */
export function isReadOnly(error: unknown): boolean {
  return READ_ONLY.test(messageOf(error))
}

/**
 * For a compare-and-set that is the first write of an act: where the server refused it because its memory or disk is full, surely
 * nothing was done. (It looks at its memory until a script's first write, and what it knows of its disk stays as it is while one
 * runs.) What a failover says is not among these: an earlier try of the client's may have landed on the old master.
 */
export async function refusedWhole<Answer>(operation: string, write: Promise<Answer>): Promise<Answer> {
  try {
    return await write
  } catch (error) {
    throw MEMORY_OR_DISK.test(messageOf(error)) ? redisFailure(operation, error, true) : error
  }
}

/** The typed error for what a client threw. */
export function redisFailure(operation: string, cause: unknown, notDone = false): CoatcheckError {
  const message = messageOf(cause)
  if (message.includes('COATCHECK_FOREIGN') || WRONG_TYPE.test(message)) {
    return new CoatcheckError(
      'FOREIGN_RECORD',
      "Redis holds another application's value under a key of ours. Give Coatcheck a prefix or a database of its own.",
      { cause },
    )
  }
  const remedy = remedies.find(([pattern]) => pattern.test(message))?.[1] ?? 'see the cause'
  return new CoatcheckError('STORE_UNAVAILABLE', `Redis failed on ${operation}: ${remedy}.`, { cause, retryAfter: 1, notDone })
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error && typeof error.code === 'string' ? ` ${error.code}` : ''
  return `${error.message}${code} ${error.name}`
}
