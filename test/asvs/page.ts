import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '../..')

/** What a row says of a requirement. */
type Standing = 'met' | 'yours' | 'later'

/** A test that a row names: any of that file whose full name holds these words. */
export interface NamedTest {
  /** From the repository's root. */
  readonly file: string
  readonly words: string
}

/** A requirement, as docs/asvs.md has it. */
export interface Row {
  readonly number: string
  readonly standing: Standing
  readonly tests: readonly NamedTest[]
  /** What stands in its last column. */
  readonly text: string
}

/** The rows of docs/asvs.md: lines that begin with a number and a level. */
export function rowsOf(page = readFileSync(join(root, 'docs/asvs.md'), 'utf8')): readonly Row[] {
  const lines = page.matchAll(/^\| (\d+\.\d+\.\d+) \(\d\) \| [^|]+ \| (\w*) \| (.*) \|$/gm)
  return [...lines].map(([, number = '', standing = '', text = '']) => ({
    number,
    standing: standing as Standing,
    tests: testsIn(text),
    text,
  }))
}

/** `[words](../path/of.test.ts) "part of the name"`. */
function testsIn(text: string): readonly NamedTest[] {
  const found = text.matchAll(/\]\(\.\.\/([\w./-]+\.test\.ts)\) "([^"]+)"/g)
  return [...found].map(([, file = '', words = '']) => ({ file, words }))
}
