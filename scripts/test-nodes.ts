// Runs the test suite on each Node that the packages promise to run on, and proves which one it was.
//
//   npm run test:nodes                      all of them, all tests
//   npm run test:nodes -- 22.13 26          these
//   npm run test:nodes -- 22 packages/auth  one, with a filter for vitest
import { spawnSync } from 'node:child_process'

const PROMISED = ['22', '24', '26']

const STRIP_TYPES = { NODE_OPTIONS: '--experimental-strip-types --disable-warning=ExperimentalWarning' }

const asked = process.argv.slice(2)
const versions = asked.filter(isVersion)
const filters = asked.filter(word => !isVersion(word))

const failed = (versions.length > 0 ? versions : PROMISED).filter(version => !passesOn(version))
if (failed.length > 0) {
  console.error(`test:nodes: failed on Node ${failed.join(', ')}`)
  process.exitCode = 1
}

function isVersion(word: string): boolean {
  return /^\d+(\.\d+)*$/.test(word)
}

function passesOn(version: string): boolean {
  const found = onNode(version, `node --version`, 'pipe').stdout.trim()
  console.log(`\ntest:nodes: Node ${version} is ${found}`)
  if (!`${found}.`.startsWith(`v${version}.`)) return false
  return onNode(version, ['node node_modules/vitest/vitest.mjs run', ...filters].join(' '), 'inherit').status === 0
}

/**
 * Runs a command line with that Node first on PATH, fetched as the npm package `node`. Tests start processes and threads
 * from our sources, whose types a Node before 22.18 strips only when told to; what is published needs no such flag.
 */
function onNode(version: string, line: string, output: 'pipe' | 'inherit') {
  const args = ['exec', '--yes', `--package=node@${version}`, '-c', line]
  const env = { ...process.env, EXPECTED_NODE: version, ...(version.startsWith('22.') ? STRIP_TYPES : {}) }
  return spawnSync('npm', args, { env, stdio: ['ignore', output, 'inherit'], encoding: 'utf8' })
}
