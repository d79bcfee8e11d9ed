import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { modulesIn, resolveImport } from '../../../test/source/modules.ts'

/**
 * Who may import whom: `request → adapters → core → store contract ← stores` (CONTRIBUTING.md has it in words). A folder
 * that is not here may not exist. A target that ends in `.ts` allows that file only.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'index.ts': ['core'],
  core: ['core'],
  http: ['core', 'http'],
  // The entry for its types only: see the comment there.
  adapters: ['core', 'http', 'csrf', 'adapters', 'index.ts'],
  stores: [
    'core/store.ts',
    'core/record.ts',
    'core/errors.ts',
    'core/clock.ts',
    'core/crypto.ts',
    'core/recent-map.ts',
    'stores',
  ],
  csrf: ['core', 'csrf'],
  'express-session': ['core', 'http', 'express-session'],
  testing: ['core', 'testing'],
}

const source = join(import.meta.dirname, '../src')
const modules = modulesIn(source)

const imports = modules.flatMap(({ path, imports }) =>
  imports.filter(name => name.startsWith('.')).map(name => ({ from: path, to: resolveImport(path, name) })),
)

test('the sources are read at all', () => {
  expect(modules.length).toBeGreaterThan(20)
  expect(imports).toContainEqual({ from: 'core/exchange.ts', to: 'core/store.ts' })
})

test('every folder of the sources has its line in the table', () => {
  const unknown = new Set(modules.map(({ path }) => topOf(path)).filter(top => !(top in MAY_IMPORT)))
  expect([...unknown]).toEqual([])
})

describe.each(Object.keys(MAY_IMPORT))('%s', top => {
  test(`imports only ${MAY_IMPORT[top]?.join(', ')}`, () => {
    expect(imports.filter(({ from, to }) => topOf(from) === top && !isAllowed(top, to))).toEqual([])
  })
})

test('no adapter imports another one, but for the one over bare Node that Express, Koa and Fastify stand on', () => {
  const sideways = imports.filter(({ from, to }) => topOf(from) === 'adapters' && topOf(to) === 'adapters')
  const own = /^adapters\/(\w+)/
  const foreign = sideways.filter(({ from, to }) => own.exec(from)?.[1] !== own.exec(to)?.[1])
  expect(foreign.filter(({ to }) => !/^adapters\/(node|shared)\b/.test(to))).toEqual([])
})

test('no store imports another one', () => {
  const stores = imports.filter(({ from, to }) => topOf(from) === 'stores' && topOf(to) === 'stores')
  const own = /^stores\/(\w+)/
  const sideways = stores.filter(({ from, to }) => own.exec(from)?.[1] !== own.exec(to)?.[1])
  // What several stores keep by the same rule, or do in the same way, stands in a file of its own.
  const common = ['stores/rules.ts', 'stores/shared-reads.ts']
  expect(sideways.filter(({ to }) => !common.includes(to))).toEqual([])
})

test('core, the stores and the conformance suites know no framework', () => {
  const frameworks = /^(express|express-serve-static-core|hono|fastify|koa|next)(\/|$)/
  const found = modules
    .filter(({ path }) => !path.startsWith('adapters/'))
    .flatMap(({ path, imports }) => imports.filter(name => frameworks.test(name)).map(name => `${path}: ${name}`))
  expect(found).toEqual([])
})

test('an import of a file is told from an import of a folder that only begins alike', () => {
  expect(isAllowed('stores', 'core/store.ts')).toBe(true)
  expect(isAllowed('stores', 'core/engine.ts')).toBe(false)
  expect(isAllowed('core', 'http/hold.ts')).toBe(false)
})

function topOf(path: string): string {
  return path.split('/')[0] ?? path
}

function isAllowed(top: string, target: string): boolean {
  return (MAY_IMPORT[top] ?? []).some(allowed => (allowed.endsWith('.ts') ? target === allowed : topOf(target) === allowed))
}
