import { readFileSync, writeFileSync } from 'node:fs'
import { figures } from './figures.ts'
import { fillIn } from './fill-in.ts'

const PAGE = new URL('../../../docs/scaling.md', import.meta.url)

/** Writes the figures of the latest results into docs/scaling.md. */
export function updatePage(): void {
  writeFileSync(PAGE, fillIn(readFileSync(PAGE, 'utf8'), figures()))
}
