import { mkdtemp, readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Child } from './processes/child.ts'
import { chooseCores } from './processes/cores.ts'
import type { ServerReady, SliceQuestion, SliceResult } from './processes/messages.ts'

/** The parts of a V8 profile that are read here. */
interface Profile {
  readonly nodes: readonly { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

const SECONDS = 5
const SHOWN = 40

// `npm run profile -w bench -- express-coatcheck-memory`: where one subject's server spends its time under load.
const name = process.argv[2]
if (name === undefined) throw new Error('Name a subject, such as express-coatcheck-memory.')
const folder = await mkdtemp(join(tmpdir(), 'coatcheck-profile-'))
const cores = chooseCores()
const server = await Child.start<ServerReady>('server.ts', [name], cores.server, ['--cpu-prof', `--cpu-prof-dir=${folder}`])
const { child: load } = await Child.start('load.ts', [], cores.load)
const question: SliceQuestion = { ...server.ready, connections: 32, warmMs: 1000, ms: SECONDS * 1000 }
const { requests } = await load.ask<SliceResult>(question)
await load.stop()
await server.child.stop()
const [file] = await readdir(folder)
const profile = JSON.parse(await readFile(join(folder, file!), 'utf8')) as Profile
process.stdout.write(
  `${name}: ${Math.round(requests / SECONDS)} requests/s under the profiler\n${selfTimes(profile).join('\n')}\n${join(folder, file!)}\n`,
)

/** The functions with the most time of their own, as a part of the time in which the server was not idle. */
function selfTimes({ nodes, samples, timeDeltas }: Profile): readonly string[] {
  const places = new Map(nodes.map(({ id, callFrame }) => [id, place(callFrame)]))
  const times = new Map<string, number>()
  samples.forEach((id, at) => {
    const key = places.get(id)!
    times.set(key, (times.get(key) ?? 0) + timeDeltas[at]!)
  })
  times.delete('(idle)')
  const total = [...times.values()].reduce((sum, time) => sum + time, 0)
  const sorted = [...times].sort(([, a], [, b]) => b - a).slice(0, SHOWN)
  return sorted.map(([key, time]) => `${((time / total) * 100).toFixed(1).padStart(5)} %  ${key}`)
}

function place({ functionName, url, lineNumber }: Profile['nodes'][number]['callFrame']): string {
  const file = url.replace(/^.*\/(node_modules|packages|bench)\//, '$1/')
  return file === '' ? functionName : `${functionName || '(anonymous)'}  ${file}:${lineNumber + 1}`
}
