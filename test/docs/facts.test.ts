import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { settingsFrom } from '../../packages/coatcheck/src/core/options.ts'
import { memoryStore } from '../../packages/coatcheck/src/stores/memory.ts'
import { root } from './pages.ts'

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

const settings = settingsFrom({ store: memoryStore(), secret: 'a-secret-for-tests-of-32-bytes-or-more', production: false })
const hours = settings.clocks.idleMs / 3_600_000
const days = settings.clocks.absoluteMs / 86_400_000
const minutes = settings.clocks.touchEveryMs / 60_000

test('the timeouts that the docs state and justify are the ones in force (ASVS 5.0 7.1.1)', () => {
  const table = read('docs/timeouts.md')
  expect(table).toContain(`| \`idleTimeout\` | \`${hours}h\` |`)
  expect(table).toContain(`| \`absoluteTimeout\` | \`${days}d\` |`)
  expect(table).toContain(`| \`touchEvery\` | \`${minutes}m\` |`)
  expect(table).toContain(`One person may have ${settings.maxSessionsPerUser} `)
  const readme = read('README.md')
  for (const words of [`${hours} hours`, `${days} days`, `${minutes} minutes`]) expect(readme).toContain(`**${words}**`)
})

/** Name and fields of each event, as `core/events.ts` declares them. */
function declaredEvents(): Map<string, readonly string[]> {
  const body = read('packages/coatcheck/src/core/events.ts').match(/interface SessionEvents \{([\s\S]*?)^\}/m)?.[1] ?? ''
  const found = body.matchAll(/^ {2}'?([\w.-]+)'?: \{ (.*) \}$/gm)
  return new Map(
    [...found].map(([, name = '', fields = '']) => [name, [...fields.matchAll(/(\w+):/g)].map(([, field = '']) => field)]),
  )
}

test('docs/events.md tells of every event, with what it carries, and of no other', () => {
  const rows = [...read('docs/events.md').matchAll(/^\| `([\w.-]+)` \| (`[^|]*`) \| .+ \|$/gm)]
  const told = new Map(
    rows.map(([, name = '', fields = '']) => [name, [...fields.matchAll(/`(\w+)`/g)].map(([, field]) => field)]),
  )
  expect(declaredEvents().size).toBeGreaterThan(10)
  expect(Object.fromEntries(told)).toEqual(Object.fromEntries(declaredEvents()))
})

test('docs/events.md tells of every reason for which a session ends', () => {
  const source = read('packages/coatcheck/src/core/events.ts').match(/type EndReason = (.*)/)?.[1] ?? ''
  const reasons = [...source.matchAll(/'([\w-]+)'/g)].map(([, reason]) => reason)
  const told = [...read('docs/events.md').matchAll(/^\| `([\w-]+)` \| [^`|]*(?:`[^`]*`[^|]*)?\|$/gm)].map(([, reason]) => reason)
  expect(told.sort()).toEqual(reasons.sort())
})
