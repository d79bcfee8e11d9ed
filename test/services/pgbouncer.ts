import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { find, type Missing } from './machine.ts'
import type { Recipe } from './server.ts'

const wanted = { commands: ['pgbouncer'], alsoIn: () => ['/usr/sbin'], debian: ['pgbouncer'] }

/** How to run PgBouncer here, in front of the PostgreSQL at this URL: each transaction may have another connection. */
export async function pgbouncerRecipe(upstream: string): Promise<Recipe | Missing> {
  const program = await find(wanted)
  if ('missing' in program) return program
  const { hostname, port, username, password, pathname } = new URL(upstream)
  return {
    name: 'pgbouncer',
    how: program.how,
    says: /process up/,
    // It refuses to run as root.
    users: ['postgres', 'nobody'],
    prepare: async place => {
      const settings = [
        '[databases]',
        `* = host=${hostname} port=${port} user=${username} password=${password}`,
        '[pgbouncer]',
        ...['listen_addr = 127.0.0.1', `listen_port = ${place.port}`, 'unix_socket_dir =', 'auth_type = any'],
        ...['pool_mode = transaction', 'default_pool_size = 4', 'max_client_conn = 100'],
      ]
      await writeFile(settingsFile(place.folder), settings.join('\n'))
      await chmod(settingsFile(place.folder), 0o644)
    },
    command: ({ folder }) => [program.path, settingsFile(folder)],
    url: own => `postgres://${username}:${password}@127.0.0.1:${own}${pathname}`,
  }
}

const settingsFile = (folder: string) => join(folder, 'pgbouncer.ini')
