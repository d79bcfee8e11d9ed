import { find, type Missing } from './machine.ts'
import { type Recipe, type Server, startServer } from './server.ts'

const wanted = { commands: ['memcached'], debian: ['memcached'] }

/** How to run memcached here. */
export async function memcachedRecipe(args: readonly string[] = []): Promise<Recipe | Missing> {
  const program = await find(wanted)
  if ('missing' in program) return program
  return {
    name: 'memcached',
    how: program.how,
    // It refuses to run as root.
    users: ['nobody'],
    command: ({ port }) => [program.path, '-l', '127.0.0.1', '-p', `${port}`, '-U', '0', ...args],
    url: port => `memcached://127.0.0.1:${port}`,
  }
}

/** A memcached of the caller's own, for tests that kill, freeze or restart it. `args` are memcached's. */
export async function startMemcached(args: readonly string[] = []): Promise<Server | Missing> {
  const recipe = await memcachedRecipe(args)
  return 'missing' in recipe ? recipe : startServer(recipe)
}
