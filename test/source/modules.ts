import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

/** Reads our TypeScript without a compiler: enough for code in one style, which the linter holds us to. */

/** A source file: its path from the folder that was read, and the modules that it imports, types included. */
export interface Module {
  readonly path: string
  readonly imports: readonly string[]
}

/** Every TypeScript file under a folder. */
export function modulesIn(folder: string): readonly Module[] {
  return sourcesIn(folder).map(path => ({ path, imports: importsIn(readFileSync(join(folder, path), 'utf8')) }))
}

/** Paths of the TypeScript files under a folder, from that folder. */
function sourcesIn(folder: string): readonly string[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return files.filter(file => file.endsWith('.ts')).map(file => file.replaceAll('\\', '/'))
}

/** What a text imports or re-exports, statically or by `import()`; examples in comments do not count. */
export function importsIn(text: string): readonly string[] {
  const code = withoutComments(text)
  const statements = code.matchAll(/^\s*(?:import|export)\b[^'"=()]*?\bfrom\s*'([^'\n]+)'/gm)
  const bare = code.matchAll(/^\s*import\s*'([^'\n]+)'/gm)
  const dynamic = code.matchAll(/\bimport\(\s*'([^'\n]+)'\s*\)/g)
  return [...statements, ...bare, ...dynamic].map(([, specifier = '']) => specifier)
}

/** The path of a relative import, from the folder that the importing path is given from. */
export function resolveImport(importer: string, specifier: string): string {
  return relative('.', join(dirname(importer), specifier))
}

/** Names that an entry point exports, sorted: values first, then types with `type ` before them. */
export function exportsOf(file: string): readonly string[] {
  const code = withoutComments(readFileSync(file, 'utf8'))
  const names = [...declared(code), ...listed(code), ...starred(code, file)].sort()
  return [...names.filter(name => !isType(name)), ...names.filter(isType)]
}

function isType(name: string): boolean {
  return name.startsWith('type ')
}

function declared(code: string): string[] {
  const found = code.matchAll(
    /^export (?:declare )?(async function\*?|function\*?|const|let|class|abstract class|interface|type) (\w+)/gm,
  )
  return [...found].map(([, kind = '', name = '']) => (/^(interface|type)$/.test(kind) ? `type ${name}` : name))
}

function listed(code: string): string[] {
  return [...code.matchAll(/^export (type )?\{([^}]*)\}/gm)].flatMap(([, type = '', names = '']) =>
    names
      .split(',')
      .map(name => name.trim())
      .filter(Boolean)
      .map(name => type + name.replace(/^(type )?\w+ as (\w+)$/, '$1$2')),
  )
}

function starred(code: string, file: string): string[] {
  return [...code.matchAll(/^export (type )?\* from '(\.[^']+)'/gm)].flatMap(([, type, from = '']) =>
    exportsOf(join(dirname(file), from)).map(name => (type && !isType(name) ? type + name : name)),
  )
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
}
