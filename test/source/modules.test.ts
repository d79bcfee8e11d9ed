import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { exportsOf, importsIn, resolveImport } from './modules.ts'

test('every form of an import is found, and nothing else is taken for one', () => {
  const text = `
import { a } from './a.ts'
import type { B } from 'b'
import './c.ts'
import d, {
  e,
} from '@scope/d/e'
export { f } from './f.ts'
export type * from './g.ts'
const h = await import('./h.ts')
type I = import('./i.ts').I
// import { no } from './comment.ts'
/** import { no } from './docstring.ts' */
export type Word = 'match' | 'from'
export const text = 'import this'
function from(name: string) { return from('./call.ts') }
`
  const found = ['./a.ts', 'b', '@scope/d/e', './f.ts', './g.ts', './c.ts', './h.ts', './i.ts']
  expect(importsIn(text)).toEqual(found)
})

test('a relative import is resolved from the file that has it', () => {
  expect(resolveImport('stores/redis/index.ts', '../../core/store.ts')).toBe('core/store.ts')
})

test('every form of an export is found, types told from values', () => {
  const folder = mkdtempSync(join(tmpdir(), 'coatcheck-exports-'))
  writeFileSync(join(folder, 'other.ts'), 'export interface Star {}\nexport const starred = 1\n')
  writeFileSync(
    join(folder, 'entry.ts'),
    `
export function f() {}
export async function g() {}
export const c = 1
export class K {}
export interface I {}
export type T = string
export { a, type U, inner as outer } from './x.ts'
export type { V } from './x.ts'
export type * from './other.ts'
function hidden() {}
`,
  )
  const types = ['type I', 'type Star', 'type T', 'type U', 'type V', 'type starred']
  expect(exportsOf(join(folder, 'entry.ts'))).toEqual(['K', 'a', 'c', 'f', 'g', 'outer', ...types])
  rmSync(folder, { recursive: true })
})
