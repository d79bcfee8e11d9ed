import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Missing } from './machine.ts'
import { redisRecipe } from './redis.ts'
import { cliBeside, redisCli } from './redis-cli.ts'
import { type Recipe, type Server, startServer } from './server.ts'

/** A master with a replica, and three Sentinels that watch over them. */
export interface RedisSentinel {
  /** What the Sentinels call the master. */
  readonly name: string
  /** The two, as they began. */
  readonly master: Server
  readonly replica: Server
  readonly sentinels: readonly Server[]
  /** The port of the master, as the Sentinels have it now. */
  masterPort(): Promise<number>
  stop(): Promise<void>
}

const NAME = 'sessions'
const SENTINELS = 3
/** Two of three agree that the master is gone. */
const QUORUM = 2
/** How long a master may be silent before it is taken for dead: short, so that a test of it is. */
const DOWN_AFTER_MS = 1000
const FORMS_WITHIN_MS = 60_000

/** Starts a master, a replica and three Sentinels of the caller's own. */
export async function startRedisSentinel(): Promise<RedisSentinel | Missing> {
  const recipe = await redisRecipe()
  if ('missing' in recipe) return recipe
  const cli = cliBeside(recipe)
  if (!cli) return { missing: 'no redis-cli beside redis-server' }
  const started: Server[] = []
  const start = async (recipe: Recipe) => {
    const server = await startServer(recipe)
    started.push(server)
    return server
  }
  const stop = async () => void (await Promise.all(started.map(server => server.stop())))
  try {
    const master = await start(withArguments(recipe, ['--repl-diskless-sync-delay', '0']))
    const replica = await start(withArguments(recipe, ['--replicaof', '127.0.0.1', `${master.port}`]))
    await until('The replica did not follow its master', async () =>
      (await redisCli(cli, replica, 'info', 'replication')).includes('master_link_status:up'),
    )
    const sentinels: Server[] = []
    while (sentinels.length < SENTINELS) sentinels.push(await start(sentinelRecipe(recipe, master.port)))
    await Promise.all(sentinels.map(sentinel => knowsAll(cli, sentinel)))
    return { name: NAME, master, replica, sentinels, masterPort: () => masterPort(cli, sentinels), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function withArguments(recipe: Recipe, args: readonly string[]): Recipe {
  return { ...recipe, command: place => [...recipe.command(place), ...args] }
}

/** A Sentinel writes what it learns into its configuration, so that it needs a file of its own. */
function sentinelRecipe(redis: Recipe, masterPort: number): Recipe {
  const [program] = redis.command({ port: 0, folder: '' })
  const configuration = (folder: string) => join(folder, 'sentinel.conf')
  return {
    name: 'redis-sentinel',
    how: redis.how,
    says: /Sentinel ID is/,
    prepare: ({ port, folder }) =>
      writeFile(
        configuration(folder),
        [
          `port ${port}`,
          'bind 127.0.0.1',
          `dir ${folder}`,
          `sentinel monitor ${NAME} 127.0.0.1 ${masterPort} ${QUORUM}`,
          `sentinel down-after-milliseconds ${NAME} ${DOWN_AFTER_MS}`,
          `sentinel failover-timeout ${NAME} 10000`,
        ].join('\n'),
      ),
    command: ({ folder }) => [program, configuration(folder), '--sentinel'],
    url: port => `redis://127.0.0.1:${port}`,
  }
}

/** Waits until a Sentinel knows the replica and the other Sentinels: before that there is no failover. */
function knowsAll(cli: string, sentinel: Server): Promise<void> {
  return until('The Sentinels did not find each other', async () => {
    const fields = (await redisCli(cli, sentinel, 'sentinel', 'master', NAME)).split('\n')
    const field = (name: string) => fields[fields.indexOf(name) + 1]
    return field('num-slaves') === '1' && field('num-other-sentinels') === String(SENTINELS - 1)
  })
}

async function until(otherwise: string, isSo: () => Promise<boolean>): Promise<void> {
  const last = Date.now() + FORMS_WITHIN_MS
  while (!(await isSo())) {
    if (Date.now() > last) throw new Error(`${otherwise} within ${FORMS_WITHIN_MS} ms.`)
    await sleep(200)
  }
}

async function masterPort(cli: string, sentinels: readonly Server[]): Promise<number> {
  const [sentinel] = sentinels
  if (!sentinel) throw new Error('There is no Sentinel.')
  const answer = await redisCli(cli, sentinel, 'sentinel', 'get-master-addr-by-name', NAME)
  return Number(answer.split('\n')[1])
}
