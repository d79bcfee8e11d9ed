// Checks each package as its users get it: packed by npm, then read by the tools that know what a published package must
// look like, then installed into fresh projects and type-checked there without `skipLibCheck`.
//
//   npm run check:packages                all of them
//   npm run check:packages -- coatcheck   this folder of packages/ only
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'

const root = join(import.meta.dirname, '..')
const consumers = join(root, 'test/consumer')
/** Packages of the compilers that a user may have: this repository's, and the last one in JavaScript. */
const COMPILERS = ['typescript', 'typescript-5']

interface Manifest {
  readonly name: string
  readonly private?: boolean
  readonly dependencies?: Record<string, string>
}

interface Packed {
  readonly name: string
  readonly tarball: string
}

const work = mkdtempSync(join(tmpdir(), 'coatcheck-packages-'))
try {
  const packages = publishedPackages().map(pack)
  for (const each of packages) inspect(each)
  for (const consumer of readdirSync(consumers)) checkConsumer(consumer, packages)
} finally {
  rmSync(work, { recursive: true, force: true })
}

function publishedPackages(): string[] {
  const asked = process.argv.slice(2)
  const names = asked.length > 0 ? asked : readdirSync(join(root, 'packages'))
  const folders = names.map(name => join(root, 'packages', name))
  return folders.filter(folder => !manifestOf(folder).private)
}

function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
}

/** Packs as `npm publish` would; refuses what should not be in it. */
function pack(folder: string): Packed {
  const [packed] = JSON.parse(run('npm', ['pack', '--json', '--pack-destination', work], folder))
  const files: string[] = packed.files.map((file: { path: string }) => file.path)
  if (!files.includes('LICENSE')) fail(`${packed.name} is packed without its LICENSE`)
  const stray = files.filter(
    file => !/^(dist|src)\/.*\.(js|ts|map)$|^(package\.json|LICENSE|README\.md|THIRD-PARTY\.md)$/.test(file),
  )
  if (stray.length > 0) fail(`${packed.name} is packed with ${stray.join(', ')}`)
  const stale = files.filter(file => file.endsWith('.js') && !files.includes(sourceOf(file)))
  if (stale.length > 0)
    fail(`${packed.name} is packed with what no source builds any more: ${stale.join(', ')}. Remove its dist folder.`)
  report(`packed ${packed.name}: ${packed.entryCount} files, ${packed.size} bytes`)
  return { name: packed.name, tarball: join(work, packed.filename) }
}

/** The compiler never removes what it once wrote, and what it wrote is what is published. */
function sourceOf(file: string): string {
  return file.replace(/^dist\//, 'src/').replace(/\.js$/, '.ts')
}

function inspect({ name, tarball }: Packed): void {
  run('publint', ['--strict', tarball])
  report(`${name}: publint has no complaint`)
  run('attw', [tarball, '--profile', 'esm-only', '--no-emoji', '--format', 'ascii'])
  report(`${name}: every entry point resolves to JavaScript and types that agree (attw, ESM)`)
}

/** Installs the tarballs into a copy of the consumer, outside of this repository, and type-checks it there. */
function checkConsumer(consumer: string, packages: readonly Packed[]): void {
  const folder = join(work, consumer)
  cpSync(join(consumers, consumer), folder, { recursive: true })
  const manifest = manifestOf(folder)
  const packed = Object.fromEntries(packages.map(({ name, tarball }) => [name, `file:${tarball}`]))
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ ...manifest, dependencies: { ...manifest.dependencies, ...packed } }),
  )
  run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline'], folder)
  const configs = readdirSync(folder).filter(name => /^tsconfig\..*\.json$/.test(name))
  for (const compiler of COMPILERS) for (const config of configs) typeCheck(folder, compiler, config)
}

function typeCheck(folder: string, compiler: string, config: string): void {
  run('node', [join('node_modules', compiler, 'bin/tsc'), '--noEmit', '-p', config], folder)
  report(`consumer ${basename(folder)}, ${compiler}, ${config}: types hold`)
}

/** Runs a program; what it printed is shown where it fails. */
function run(program: string, args: readonly string[], cwd = root): string {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, encoding: 'utf8', maxBuffer: 1 << 26 })
  if (status !== 0) fail(`${program} ${args.join(' ')} failed in ${cwd}\n${stdout}${stderr}`)
  return stdout
}

function report(line: string): void {
  console.log(`check:packages: ${line}`)
}

function fail(message: string): never {
  throw new Error(`check:packages: ${message}`)
}
