import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

// Hundreds of processes are started, each of which would parse the same drivers and strip the same types anew.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, 'node_modules/.cache/compiled')

const all = ['{packages,examples}/*/test/**/*.test.ts', 'bench/test/**/*.test.ts', 'test/**/*.test.ts']

/** What measures latency, and so must have the machine to itself: these run after all others, one at a time. */
const alone = ['packages/auth/test/passwords/load.test.ts']

const common = {
  testTimeout: 30_000,
  hookTimeout: 120_000,
  teardownTimeout: 30_000,
  // A retry would hide a race, and races are what this project is about.
  retry: 0,
  // The laws about memory measure after a collection.
  execArgv: ['--expose-gc'],
}

export default defineConfig({
  test: {
    // Fails a run in which a test that docs/asvs.md names did not run, or did not pass.
    reporters: ['default', './test/asvs/reporter.ts'],
    // Tests run real servers, browsers and child processes, and wait for them for much of their time: three files at a time
    // is what a two-core machine bears.
    maxWorkers: 3,
    projects: [
      {
        test: {
          ...common,
          name: 'together',
          include: all,
          exclude: ['**/node_modules/**', ...alone],
          // Starts what a test file asks for by `service('redis')`, once for all, and ends it.
          globalSetup: ['./test/services/global-setup.ts'],
          maxWorkers: 3,
          sequence: { groupOrder: 0 },
        },
      },
      { test: { ...common, name: 'alone', include: alone, maxWorkers: 1, sequence: { groupOrder: 1 } } },
    ],
  },
})
