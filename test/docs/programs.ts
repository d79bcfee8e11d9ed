import { execFile } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Block, root } from './pages.ts'

const run = promisify(execFile)

// Inside the repository, so that a block finds our packages as its reader does. They must be built (`npm run build`).
const work = join(root, 'node_modules/.cache/coatcheck/docs', `${process.pid}`)

/** Blocks that are compiled together, each a module of its own. */
export interface Program {
  readonly folder: string
  readonly blocks: readonly Block[]
}

/** All blocks in one program, but for those that give our types other fields: these would hold for all the others. */
export function programsOf(blocks: readonly Block[]): readonly Program[] {
  const retypes = (block: Block) => block.code.includes('declare module')
  const groups = [blocks.filter(block => !retypes(block)), ...blocks.filter(retypes).map(block => [block])]
  return groups.filter(group => group.length > 0).map((group, index) => ({ folder: join(work, `${index}`), blocks: group }))
}

/** Compiles a program; gives what the compiler says, each line with the place of its block. */
export async function compile({ folder, blocks }: Program): Promise<readonly string[]> {
  mkdirSync(folder, { recursive: true })
  for (const [index, block] of blocks.entries()) writeFileSync(join(folder, `${index}.ts`), `${block.code}\nexport {}\n`)
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
  const output = await run('tsc', ['-p', folder, '--pretty', 'false'], { cwd: folder }).then(
    () => '',
    (error: { stdout?: string }) => error.stdout || String(error),
  )
  const lines = output.split('\n').filter(Boolean)
  return lines.map(line => line.replace(/^(\d+)\.ts\(\d+,\d+\)/, (_, index) => blocks[Number(index)]?.place ?? ''))
}

/** Runs a compiled block in a process of its own; rejects if it fails or does not end by itself. */
export async function runBlock({ folder, blocks }: Program, block: Block): Promise<void> {
  await run(process.execPath, [join(folder, 'out', `${blocks.indexOf(block)}.js`)], { timeout: 20_000 })
}

/** Removes what was written. */
export function cleanUp(): void {
  rmSync(work, { recursive: true, force: true })
}

const config = {
  extends: join(root, 'tsconfig.base.json'),
  compilerOptions: {
    outDir: 'out',
    rootDir: '.',
    skipLibCheck: true,
    declaration: false,
    declarationMap: false,
    sourceMap: false,
  },
  include: ['*.ts'],
}
