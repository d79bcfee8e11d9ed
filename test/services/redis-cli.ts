import { execFile } from 'node:child_process'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { which } from './machine.ts'
import type { Recipe, Server } from './server.ts'

const run = promisify(execFile)

/** The command-line client that came with this server; undefined if there is none. */
export function cliBeside(recipe: Recipe): string | undefined {
  const [server] = recipe.command({ port: 0, folder: '' })
  return which(['redis-cli', 'valkey-cli'], [dirname(server)])
}

/** What one server answers, as the command-line client prints it. */
export async function redisCli(cli: string, node: Server, ...args: string[]): Promise<string> {
  const { stdout } = await run(cli, ['-h', '127.0.0.1', '-p', `${node.port}`, ...args])
  return stdout.trim()
}
