import { find, type Missing } from './machine.ts'
import { type Recipe, type Server, startServer } from './server.ts'

const wanted = { commands: ['redis-server', 'valkey-server'], debian: ['redis-server'] }

/** How to run Redis or Valkey here. */
export async function redisRecipe(args: readonly string[] = []): Promise<Recipe | Missing> {
  const program = await find(wanted)
  if ('missing' in program) return program
  return {
    name: 'redis',
    how: program.how,
    says: /Ready to accept connections/,
    command: ({ port, folder }) => [
      program.path,
      ...['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder, '--save', ''],
      // What was acknowledged survives `kill -9` (the system has it), which is what the tests of outages ask for.
      ...['--appendonly', 'yes', '--appendfsync', 'no'],
      ...args,
    ],
    url: port => `redis://127.0.0.1:${port}`,
  }
}

/** A Redis of the caller's own, for tests that kill, freeze or restart it. `args` are redis-server's. */
export async function startRedis(args: readonly string[] = []): Promise<Server | Missing> {
  const recipe = await redisRecipe(args)
  return 'missing' in recipe ? recipe : startServer(recipe)
}
