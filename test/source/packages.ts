import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const folder = join(import.meta.dirname, '../../packages')

/** What we read of a `package.json`. */
interface Manifest {
  readonly name: string
  readonly version: string
  readonly private?: boolean
  readonly exports: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
}

/** One of our packages. */
export interface Package {
  readonly folder: string
  readonly source: string
  readonly manifest: Manifest
}

/** Every package of `packages/` that is published. */
export const packages: readonly Package[] = readdirSync(folder)
  .map(name => packageAt(join(folder, name)))
  .filter(({ manifest }) => !manifest.private)

function packageAt(folder: string): Package {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  return { folder, source: join(folder, 'src'), manifest }
}

/** Entry points by name (`coatcheck/express`) with the source file behind each. */
export function entryPoints({ source, manifest }: Package): readonly { name: string; file: string }[] {
  return Object.entries(manifest.exports)
    .filter(([, target]) => target.startsWith('./dist/'))
    .map(([path, target]) => ({
      name: manifest.name + path.slice(1),
      file: join(source, target.replace('./dist/', '').replace(/\.js$/, '.ts')),
    }))
}
