import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, test } from 'vitest'
import { exportsOf, modulesIn } from './source/modules.ts'
import { entryPoints, packages } from './source/packages.ts'

const licence = readFileSync(join(import.meta.dirname, '../LICENSE'), 'utf8')

describe.each(packages)('$manifest.name', pkg => {
  const { folder, source, manifest } = pkg

  // `toMatchFileSnapshot`: after an intended change, `npx vitest run test/packages.test.ts -u` writes the list anew.
  test('exports what its list of public exports says, and nothing else', async () => {
    const lines = entryPoints(pkg).flatMap(({ name, file }) => [name, ...exportsOf(file).map(each => `  ${each}`), ''])
    await expect(lines.join('\n')).toMatchFileSnapshot(join(folder, 'test/public-exports.txt'))
  })

  test.each(entryPoints(pkg))('$name: the list names each value that a program gets', async ({ file }) => {
    const values = exportsOf(file).filter(name => !name.startsWith('type '))
    expect(values).toEqual(Object.keys(await import(pathToFileURL(file).href)).sort())
  })

  test('imports only what npm installs with it, or what its user is told to bring', () => {
    const declared = [manifest.name, ...Object.keys(manifest.dependencies ?? {}), ...Object.keys(manifest.peerDependencies ?? {})]
    const strangers = modulesIn(source).flatMap(({ path, imports }) =>
      imports
        .filter(isPackage)
        .filter(name => !declared.includes(packageOf(name)))
        .map(name => `${path}: ${name}`),
    )
    expect(strangers).toEqual([])
  })

  test('asks for frameworks as optional peers of any version, so that it never blocks an upgrade', () => {
    const peers = Object.entries(manifest.peerDependencies ?? {}).filter(([name]) => name !== 'coatcheck')
    const strict = peers.filter(([name, range]) => range !== '*' || !manifest.peerDependenciesMeta?.[name]?.optional)
    expect(strict).toEqual([])
  })

  test('has the version of all the others, and the licence', () => {
    expect(manifest.version).toBe(packages[0]?.manifest.version)
    expect(readFileSync(join(folder, 'LICENSE'), 'utf8')).toBe(licence)
  })
})

function isPackage(specifier: string): boolean {
  return !specifier.startsWith('.') && !specifier.startsWith('node:')
}

/** `@scope/name/path` and `name/path` without the path. */
function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}
