import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

export const root = join(import.meta.dirname, '../..')

/** A page for people: README, docs, and what the packages and examples say of themselves. */
export interface Page {
  /** From the repository's root. */
  readonly path: string
  readonly text: string
}

/** One fenced block of TypeScript. */
export interface Block {
  /** `docs/errors.md:10`, for the reader of a failure. */
  readonly place: string
  /** The words after `ts`: `run`, `continued`. */
  readonly words: readonly string[]
  /** What is compiled: what the page has given, what it continues, and the block itself. */
  readonly code: string
}

/** Every page, found anew each time so that none is forgotten. */
export function pages(): readonly Page[] {
  const folders = ['.', ...foldersIn('packages'), ...foldersIn('examples')]
  const files = [...folders.flatMap(folder => markdownIn(folder, false)), ...markdownIn('docs', true)]
  return files.map(path => ({ path, text: readFileSync(join(root, path), 'utf8') }))
}

function foldersIn(folder: string): string[] {
  return readdirSync(join(root, folder)).map(name => join(folder, name))
}

function markdownIn(folder: string, recursive: boolean): string[] {
  if (!existsSync(join(root, folder))) return []
  const names = readdirSync(join(root, folder), { recursive, encoding: 'utf8' })
  return names.filter(name => name.endsWith('.md')).map(name => relative(root, join(root, folder, name)))
}

/**
 * The TypeScript blocks of a page. Each stands on its own, but for
 *
 * - ` ```ts continued `, which goes on after the blocks before it, and
 * - an HTML comment that begins with `given:` before a block, for what the reader has anyway
 *   (`<!-- given: declare const app: import('express').Express -->`).
 */
export function blocksOf({ path, text }: Page): readonly Block[] {
  const found = text.matchAll(/(?:<!-- given:([\s\S]*?)-->\s*)?^```ts\b([^\n]*)\n([\s\S]*?)^```/gm)
  const blocks: Block[] = []
  for (const match of found) {
    const [, given = '', info = '', body = ''] = match
    const words = info.split(' ').filter(Boolean)
    const before = words.includes('continued') ? (blocks.at(-1)?.code ?? '') : ''
    const fence = match.index + match[0].indexOf('```ts')
    blocks.push({ place: `${path}:${lineAt(text, fence)}`, words, code: `${before}${given}\n${body}` })
  }
  return blocks
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length
}

/** Links of a page to files of this repository, without their anchors. */
export function fileLinksOf({ text }: Page): readonly string[] {
  const prose = text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '')
  const targets = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target)
  return targets.filter(target => !/^(\w+:|#)/.test(target)).map(target => target.replace(/#.*/, ''))
}
