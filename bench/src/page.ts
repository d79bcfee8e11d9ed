import { readFileSync, writeFileSync } from 'node:fs'
import { figures } from './page/figures.ts'
import { fillIn } from './page/fill-in.ts'

// `npm run page -w bench`: the figures of docs/scaling.md anew, from the latest results.
const page = new URL('../../docs/scaling.md', import.meta.url)
writeFileSync(page, fillIn(readFileSync(page, 'utf8'), figures()))
