import { randomUUID } from 'node:crypto'
import { Cluster, type NodeRole, Redis } from 'ioredis'
import { createClient, createCluster, createSentinel } from 'redis'
import type { NodeRedisClient, NodeRedisCluster } from '../../src/stores/redis/client.ts'
import { type RedisClient, type RedisStoreOptions, redisStore } from '../../src/stores/redis.ts'
import type { StoreSpace } from '../../src/testing/index.ts'

/** A client of one of the two libraries, with the little that tests do past the store. */
export interface Connection {
  readonly client: RedisClient
  set(key: string, value: string): Promise<unknown>
  close(): void
}

export type Connect = (url: string) => Promise<Connection>

/** To one server. Errors are the store's to tell: a client without a listener would end the process. */
export const clients = {
  async redis(url: string): Promise<Connection> {
    const client = await createClient({ url })
      .on('error', () => {})
      .connect()
    return { client, set: (key, value) => client.set(key, value), close: () => client.destroy() }
  },
  async ioredis(url: string): Promise<Connection> {
    const client = new Redis(url).on('error', () => {})
    return { client, set: (key, value) => client.set(key, value), close: () => client.disconnect() }
  },
}

export type ClientName = keyof typeof clients

/** Their commands go to one address, the connection of their watch to another, so that a test can break one of them. */
export const splitClients = {
  async redis(url: string, watchUrl: string): Promise<Connection> {
    const client = await createClient({ url })
      .on('error', () => {})
      .connect()
    return { client: watchingNode(client, watchUrl), set: (key, value) => client.set(key, value), close: () => client.destroy() }
  },
  async ioredis(url: string, watchUrl: string): Promise<Connection> {
    const client = new Redis(url).on('error', () => {})
    const split = Object.assign(client, { duplicate: (options: object) => new Redis(watchUrl, options) })
    return { client: split, set: (key, value) => client.set(key, value), close: () => client.disconnect() }
  },
}

/** What the store calls of a `redis` client, its connections for a watch made elsewhere. */
function watchingNode(client: NodeRedisClient, watchUrl: string) {
  const sendCommand: NodeRedisClient['sendCommand'] = (args, options) => client.sendCommand(args, options)
  return { sendCommand, duplicate: (options: object) => createClient({ ...options, url: watchUrl }) }
}

/** To the master that Sentinels name. */
export const sentinelClients = {
  async redis(name: string, ports: readonly number[]): Promise<Connection> {
    const client = createSentinel({ name, sentinelRootNodes: ports.map(port => ({ host: '127.0.0.1', port })) })
    client.on('error', () => {})
    await client.connect()
    return { client, set: (key, value) => client.set(key, value), close: () => client.destroy() }
  },
  async ioredis(name: string, ports: readonly number[]): Promise<Connection> {
    const client = new Redis({ name, sentinels: ports.map(port => ({ host: '127.0.0.1', port })) }).on('error', () => {})
    return { client, set: (key, value) => client.set(key, value), close: () => client.disconnect() }
  },
}

/** To a Cluster, found by the URL of one node. */
export const clusterClients = {
  async redis(url: string): Promise<Connection> {
    const client = createCluster({ rootNodes: [{ url }] }).on('error', () => {})
    await client.connect()
    return { client, set: (key, value) => client.set(key, value), close: () => client.destroy() }
  },
  async ioredis(url: string): Promise<Connection> {
    const client = new Cluster([url], { redisOptions: {} }).on('error', () => {})
    return { client, set: (key, value) => client.set(key, value), close: () => client.disconnect() }
  },
}

/** The same, but that the connection of their watch to the master at `url` goes to `watchUrl`. */
export const splitClusterClients = {
  async redis(url: string, watchUrl: string): Promise<Connection> {
    const connection = await clusterClients.redis(url)
    const client = connection.client as NodeRedisCluster<{ readonly port: number }>
    const split: NodeRedisCluster<{ readonly port: number }> = {
      sendCommand: (...args) => client.sendCommand(...args),
      get masters() {
        return client.masters
      },
      async nodeClient(master) {
        const node = await client.nodeClient(master)
        return master.port === portOf(url) ? watchingNode(node, watchUrl) : node
      },
    }
    return { ...connection, client: split }
  },
  async ioredis(url: string, watchUrl: string): Promise<Connection> {
    const connection = await clusterClients.ioredis(url)
    const client = connection.client as Cluster
    const nodes = client.nodes.bind(client)
    const split = (node: Redis) => ({
      callBuffer: node.callBuffer.bind(node),
      duplicate: (options: object) => new Redis(watchUrl, options),
    })
    const nodesOf = (role?: NodeRole) => nodes(role).map(node => (node.options.port === portOf(url) ? split(node) : node))
    return { ...connection, client: Object.assign(client, { nodes: nodesOf }) as RedisClient }
  },
}

const portOf = (url: string) => Number(new URL(url).port)

/** A prefix of its own, with two stores over connections of their own. */
export async function openSpace(connect: Connect, url: string, options: RedisStoreOptions = {}): Promise<StoreSpace> {
  const prefix = `test:${randomUUID()}:`
  const [one, two] = [await connect(url), await connect(url)]
  return {
    store: redisStore(one.client, { ...options, prefix }),
    second: () => redisStore(two.client, { ...options, prefix }),
    plant: async id => void (await one.set(`${prefix}s:${id}`, 'of another application')),
    close() {
      one.close()
      two.close()
    },
  }
}
