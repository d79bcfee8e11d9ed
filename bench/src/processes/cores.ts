import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Which core is whose; undefined where processes cannot be bound to one. */
export interface Cores {
  readonly server: number | undefined
  readonly load: number | undefined
}

/** The last core that we may use for the server, the first for the load: the first one has more of the interrupts. */
export function chooseCores(): Cores {
  const allowed = allowedCores()
  if (allowed.length < 2) return { server: undefined, load: undefined }
  return { server: allowed.at(-1), load: allowed[0] }
}

/** What stands before a command that is bound to this core; nothing for one that is not. */
export function pinned(core: number | undefined): readonly string[] {
  return core === undefined ? [] : ['taskset', '-c', String(core)]
}

function allowedCores(): readonly number[] {
  if (process.platform !== 'linux' || spawnSync('taskset', ['-V']).status !== 0) return []
  const [, list = ''] = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  return list.split(',').flatMap(expand)
}

/** `'0-2'` is 0, 1, 2. */
function expand(range: string): readonly number[] {
  const [first = 0, last = first] = range.split('-').map(Number)
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}
