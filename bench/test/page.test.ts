import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { figures } from '../src/page/figures.ts'
import { fillIn } from '../src/page/fill-in.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/scaling.md'), 'utf8')

test('docs/scaling.md has the figures of the latest results (npm run page -w bench writes them)', () => {
  expect(fillIn(page, figures())).toBe(page)
})

test('every figure of the bench has its place on the page', () => {
  const places = [...page.matchAll(/<!-- bench: (\w+) -->/g)].map(([, name]) => name)
  expect(places.sort()).toEqual(Object.keys(figures()).sort())
})

test('a part is put between its markers, and one that does not exist is refused', () => {
  expect(fillIn('a\n<!-- bench: x -->\nold\n<!-- /bench -->\nb', { x: 'new' })).toBe(
    'a\n<!-- bench: x -->\nnew\n<!-- /bench -->\nb',
  )
  expect(() => fillIn('<!-- bench: y -->\n<!-- /bench -->', {})).toThrow('y')
})
