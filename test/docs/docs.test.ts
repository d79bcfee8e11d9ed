import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { blocksOf, fileLinksOf, pages, root } from './pages.ts'
import { cleanUp, compile, programsOf, runBlock } from './programs.ts'

const programs = programsOf(pages().flatMap(blocksOf))
const all = programs.flatMap(program => program.blocks.map(block => ({ place: block.place, block, program })))

let complaints: readonly string[] = []
beforeAll(async () => {
  complaints = (await Promise.all(programs.map(compile))).flat()
})
afterAll(cleanUp)

describe.each(all)('$place', ({ place, block, program }) => {
  test('compiles', () => {
    expect(complaints.filter(line => line.startsWith(`${place}:`))).toEqual([])
  })

  if (block.words.includes('run')) test('runs, and ends by itself', () => runBlock(program, block))
})

test('the compiler says nothing that belongs to no block', () => {
  expect(complaints.filter(line => !all.some(({ place }) => line.startsWith(`${place}:`)))).toEqual([])
})

test.each(pages())('$path: each link to a file leads to one', page => {
  const broken = fileLinksOf(page).filter(link => !existsSync(join(root, dirname(page.path), link)))
  expect(broken).toEqual([])
})

describe('these tests would notice', () => {
  const wrong = '```ts\nconst text: string = count\n```\n'

  test('a block that does not compile', async () => {
    const [block] = blocksOf({ path: 'page.md', text: `Words.\n\n<!-- given: declare const count: number -->\n${wrong}` })
    expect(block?.place).toBe('page.md:4')
    const [program] = programsOf(block ? [block] : [])
    const said = program && (await compile({ ...program, folder: `${program.folder}-wrong` }))
    expect(said?.join('\n')).toMatch(/^page\.md:4: error TS2322/)
  })

  test('a block that fails when it runs', async () => {
    const [block] = blocksOf({ path: 'page.md', text: "```ts run\nthrow new Error('no')\n```\n" })
    const [program] = programsOf(block ? [block] : [])
    if (!block || !program) throw new Error('no block was found')
    const failing = { ...program, folder: `${program.folder}-failing` }
    await compile(failing)
    await expect(runBlock(failing, block)).rejects.toThrow(/Error: no/)
  })

  test('what a block continues', () => {
    const [, next] = blocksOf({ path: 'page.md', text: `${wrong}\n\`\`\`ts continued\ntext.length\n\`\`\`\n` })
    expect(next?.code).toContain('const text')
  })

  test('a link to a file that is not there', () => {
    const text = 'See [one](./one.md#here), [the web](https://example.com), [below](#below) and `[code](x.md)`.'
    expect(fileLinksOf({ path: 'page.md', text })).toEqual(['./one.md'])
  })
})
