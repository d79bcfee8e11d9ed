import { relative } from 'node:path'
import type { Reporter, TestModule, TestSpecification, Vitest } from 'vitest/node'
import { type NamedTest, root, rowsOf } from './page.ts'

/** What became of one test. */
export interface Outcome {
  /** From the repository's root. */
  readonly file: string
  /** With those of its describe blocks. */
  readonly name: string
  readonly state: string
}

/** The named tests that did not run, or of which not every one passed. */
export function unproven(named: readonly NamedTest[], outcomes: readonly Outcome[]): readonly NamedTest[] {
  return named.filter(({ file, words }) => {
    const found = outcomes.filter(outcome => outcome.file === file && outcome.name.includes(words))
    return found.length === 0 || found.some(({ state }) => state !== 'passed')
  })
}

/**
 * Holds docs/asvs.md to what has run: a test that a row names and that did not run, or did not pass, fails the run. A run of
 * some files or some names is held to those files only, or to nothing.
 */
export default class AsvsReporter implements Reporter {
  #vitest: Vitest | undefined
  /** False where only some files were asked for. */
  #whole = false

  onInit(vitest: Vitest): void {
    this.#vitest = vitest
  }

  async onTestRunStart(specifications: readonly TestSpecification[]): Promise<void> {
    const all = (await this.#vitest?.globTestSpecifications()) ?? []
    this.#whole = specifications.length >= all.length
  }

  onTestRunEnd(modules: readonly TestModule[], _errors: readonly unknown[], reason: string): void {
    if (reason === 'interrupted' || this.#vitest?.config.testNamePattern !== undefined) return
    const named = this.#asked(modules)
    const missing = unproven(named, modules.flatMap(outcomesOf))
    for (const { file, words } of missing)
      console.error(`asvs: docs/asvs.md names "${words}" of ${file}, which did not run and pass`)
    if (missing.length > 0) process.exitCode = 1
    else console.log(`asvs: ${named.length} named tests ran and passed`)
  }

  #asked(modules: readonly TestModule[]): readonly NamedTest[] {
    const named = rowsOf().flatMap(({ tests }) => tests)
    if (this.#whole) return named
    const files = new Set(modules.map(fileOf))
    return named.filter(({ file }) => files.has(file))
  }
}

function fileOf({ moduleId }: TestModule): string {
  return relative(root, moduleId)
}

function outcomesOf(module: TestModule): readonly Outcome[] {
  const tests = [...module.children.allTests()]
  return tests.map(test => ({ file: fileOf(module), name: test.fullName, state: test.result().state }))
}
