import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Missing, Program } from './machine.ts'
import { redisRecipe } from './redis.ts'
import { cliBeside, redisCli } from './redis-cli.ts'
import { type Server, startServer } from './server.ts'

const run = promisify(execFile)

/** Six real processes: three masters with a replica each. */
export interface RedisCluster {
  /** Where the program comes from. */
  readonly how: Program['how']
  readonly nodes: readonly Server[]
  /** Of every node. */
  readonly urls: readonly string[]
  /** Of the first node; a cluster client finds the others. */
  readonly url: string
  /** The node that answers for this key now. */
  masterOf(key: string): Promise<Server>
  /** Resolves once every node sees three masters, each with a replica that follows it: also after a killed node's `restart`. */
  whole(): Promise<void>
  /** `redis-cli` to one node, for what a test must force (`CLUSTER FAILOVER`, moving slots). */
  cli(node: Server, ...args: string[]): Promise<string>
  stop(): Promise<void>
}

const NODES = 6
/** How long a master may be silent before its replica takes over: short, so that a test of it is. */
const NODE_TIMEOUT_MS = 2000
const FORMS_WITHIN_MS = 60_000

/** Starts a Redis Cluster of the caller's own. `args` are given to each redis-server. */
export async function startRedisCluster(args: readonly string[] = []): Promise<RedisCluster | Missing> {
  const options = [
    '--cluster-enabled',
    'yes',
    '--cluster-config-file',
    'nodes.conf',
    '--cluster-node-timeout',
    `${NODE_TIMEOUT_MS}`,
  ]
  const recipe = await redisRecipe([...options, ...args])
  if ('missing' in recipe) return recipe
  const cli = cliBeside(recipe)
  if (!cli) return { missing: 'no redis-cli beside redis-server' }
  const nodes = await startAll(NODES, () => startServer(recipe))
  try {
    await form(cli, nodes)
    return clusterOf(recipe.how, cli, nodes)
  } catch (error) {
    await stopAll(nodes)
    throw error
  }
}

async function startAll(count: number, start: () => Promise<Server>): Promise<Server[]> {
  const nodes: Server[] = []
  try {
    // One after another, so that no two are given the same free port.
    while (nodes.length < count) nodes.push(await start())
    return nodes
  } catch (error) {
    await stopAll(nodes)
    throw error
  }
}

async function stopAll(nodes: readonly Server[]): Promise<void> {
  await Promise.all(nodes.map(node => node.stop()))
}

const addressOf = (node: Server) => `127.0.0.1:${node.port}`

async function form(cli: string, nodes: readonly Server[]): Promise<void> {
  const create = ['--cluster', 'create', ...nodes.map(addressOf), '--cluster-replicas', '1', '--cluster-yes']
  await run(cli, create)
  await untilWhole(cli, nodes)
}

async function untilWhole(cli: string, nodes: readonly Server[]): Promise<void> {
  const until = Date.now() + FORMS_WITHIN_MS
  while (!(await everyNodeAgrees(cli, nodes))) {
    if (Date.now() > until) throw new Error(`The Redis Cluster was not whole within ${FORMS_WITHIN_MS} ms.`)
    await sleep(200)
  }
}

async function everyNodeAgrees(cli: string, nodes: readonly Server[]): Promise<boolean> {
  const answers = await Promise.all(nodes.map(node => healthOf(cli, node)))
  return answers.every(Boolean)
}

/** True if the node sees the cluster whole, with three replicas whose links to their masters are up. */
async function healthOf(cli: string, node: Server): Promise<boolean> {
  const [info, roles, replication] = await Promise.all([
    redisCli(cli, node, 'cluster', 'info'),
    redisCli(cli, node, 'cluster', 'nodes'),
    redisCli(cli, node, 'info', 'replication'),
  ])
  const isLinked = replication.includes('role:master') || replication.includes('master_link_status:up')
  return info.includes('cluster_state:ok') && roles.match(/\bslave\b/g)?.length === NODES / 2 && isLinked
}

function clusterOf(how: Program['how'], cli: string, nodes: readonly Server[]): RedisCluster {
  return {
    how,
    nodes,
    urls: nodes.map(node => node.url),
    url: nodes.map(node => node.url)[0] ?? '',
    whole: () => untilWhole(cli, nodes),
    cli: (node, ...args) => redisCli(cli, node, ...args),
    masterOf: key => masterOf(cli, nodes, key),
    stop: () => stopAll(nodes),
  }
}

async function masterOf(cli: string, nodes: readonly Server[], key: string): Promise<Server> {
  for (const node of nodes) {
    const owner = await portOfOwner(cli, node, key).catch(() => undefined)
    const master = nodes.find(({ port }) => port === owner)
    if (master) return master
  }
  throw new Error(`No node of the Redis Cluster knows who answers for ${key}.`)
}

async function portOfOwner(cli: string, node: Server, key: string): Promise<number | undefined> {
  const slot = Number(await redisCli(cli, node, 'cluster', 'keyslot', key))
  const lines = (await redisCli(cli, node, 'cluster', 'nodes')).split('\n')
  const owner = lines.find(line => line.includes('master') && !line.includes('fail') && ownsSlot(line, slot))
  return owner ? Number(/:(\d+)@/.exec(owner)?.[1]) : undefined
}

/** Fields after the eighth of a line of `CLUSTER NODES` are slots: `5`, `0-5460`, or one on the move in brackets. */
function ownsSlot(line: string, slot: number): boolean {
  return line
    .split(' ')
    .slice(8)
    .filter(range => !range.startsWith('['))
    .map(range => range.split('-').map(Number))
    .some(([first = -1, last = first]) => first <= slot && slot <= last)
}
