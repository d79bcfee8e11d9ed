import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, expect, test, vi } from 'vitest'
import type { SessionEventName } from '../../src/core/events.ts'
import type { Exchange } from '../../src/core/exchange.ts'
import { createSessions, type Sessions } from '../../src/core/sessions.ts'
import { sqliteStore } from '../../src/stores/sqlite.ts'
import { gatedStore } from '../../src/testing/gate.ts'
import { Browser, SECRET, TestClock } from './world.ts'

/** Every event's name, as `core/events.ts` declares them. */
const declared = readFileSync(join(import.meta.dirname, '../../src/core/events.ts'), 'utf8')
const body = /interface SessionEvents \{([\s\S]*?)^\}/m.exec(declared)?.[1] ?? ''
const names = [...body.matchAll(/^ {2}'?([\w.-]+)'?: \{/gm)].map(([, name]) => name as SessionEventName)

const folder = mkdtempSync(join(tmpdir(), 'coatcheck-'))

afterEach(() => {
  vi.restoreAllMocks()
  rmSync(folder, { recursive: true, force: true })
})

/** A browser that remembers every cookie value that it was ever given. */
class Collector extends Browser {
  static readonly values = new Set<string>()

  override receive(setCookie: readonly string[]): void {
    super.receive(setCookie)
    for (const value of this.jar.values()) Collector.values.add(value)
  }
}

/** Everything that came to anybody's eyes but the browser's. */
const told: string[] = []

const tell = (what: unknown): void => void told.push(inspect(what, { depth: 10, showHidden: true }), String(what))

async function trying(act: () => unknown): Promise<void> {
  await Promise.resolve().then(act).catch(tell)
}

function listen(sessions: Sessions): readonly string[] {
  const heard: string[] = []
  for (const name of names) {
    sessions.on(name, event => {
      heard.push(name)
      tell(event)
    })
  }
  for (const method of ['log', 'info', 'warn', 'error', 'debug'] as const)
    vi.spyOn(console, method).mockImplementation((...said) => said.forEach(tell))
  vi.spyOn(process, 'emitWarning').mockImplementation(tell)
  return heard
}

/** A token's parts, in the forms in which somebody could have written them down; its id is public. */
function secretsOf(value: string): readonly Buffer[] {
  const [, secret = '', mac = ''] = value.split('.')
  return [secret, mac].flatMap(part => {
    const bytes = Buffer.from(part, 'base64url')
    return [Buffer.from(part), bytes, Buffer.from(bytes.toString('hex')), Buffer.from(bytes.toString('base64'))]
  })
}

function filesOf(place: string): readonly (readonly [string, Buffer])[] {
  return readdirSync(place).map(name => [name, readFileSync(join(place, name))] as const)
}

test('law 5: no token, and no secret of any, is in the sqlite file, its log, an event, an error, a warning or on the console', async () => {
  const clock = new TestClock()
  const store = sqliteStore(join(folder, 'sessions.db'), { clock })
  const gate = gatedStore(store)
  const sessions = createSessions({ store: gate.store, secret: SECRET, clock, production: true })
  const heard = listen(sessions)
  const [browser, other] = [new Collector(), new Collector()]
  const change = (data: object) => (exchange: Exchange) => Object.assign(exchange.session, data)
  const failing = (method: 'read' | 'create' | 'replace' | 'delete') =>
    gate.onCall(call => {
      if (call.method === method) throw Object.assign(new Error('no connection'), { args: call.args })
    })

  await browser.request(sessions, change({ cart: ['tea'] }))
  const visitor = browser.fork()
  await browser.login(sessions, 'ann', true)
  await browser.request(sessions, change({ role: 'admin' }))
  const stale = browser.fork()
  await browser.request(sessions, ({ session }) => session.rotate())
  await trying(() => stale.request(sessions, change({ late: 1 })))
  await trying(() => visitor.request(sessions, change({ late: 1 })))
  await browser.request(sessions, change({ userId: 'ann', note: 'x'.repeat(5000) }))
  await other.login(sessions, 'ann')
  await trying(() =>
    sessions.open(`${browser.cookie}; ${other.cookie}`, { secure: () => false, ip: () => '', userAgent: () => '' }),
  )
  for (const method of ['read', 'create', 'replace', 'delete'] as const) {
    failing(method)
    await trying(() => browser.login(sessions, 'ann'))
    await trying(() => browser.login(sessions, 'bob'))
    await trying(() => browser.request(sessions, ({ session }) => session.logout()))
    gate.reset()
    await browser.login(sessions, 'ann')
  }
  await trying(() => browser.request(sessions, change({ userId: 'eve' })))
  await trying(() => browser.request(sessions, exchange => change({ itself: exchange.session })(exchange)))
  tell([await sessions.list('ann'), await sessions.scan(), await sessions.read(browser.cookie)])
  await sessions.revokeUser('ann')
  await browser.login(sessions, 'ann')

  const written = filesOf(folder)
  expect(written.map(([name]) => name)).toEqual(expect.arrayContaining(['sessions.db', 'sessions.db-wal']))
  await sessions.close()
  const everywhere: (readonly [string, Buffer])[] = [
    ...written,
    ...filesOf(folder).map(([name, bytes]) => [`${name}, closed`, bytes] as const),
    ['told', Buffer.from(told.join('\n'))],
  ]
  const values = [...Collector.values].filter(value => value.includes('.'))
  expect(values.length).toBeGreaterThan(8)
  for (const [name, bytes] of everywhere)
    for (const secret of values.flatMap(secretsOf)) expect(bytes.includes(secret), `${secret} in ${name}`).toBe(false)

  // What may be found is found, and what was to be told was told: the search is not blind.
  const id = (browser.jar.get('__Host-sid') ?? '').split('.')[0] ?? '-'
  const places = everywhere.filter(([, bytes]) => bytes.includes(id)).map(([name]) => name)
  expect(places).toEqual(expect.arrayContaining(['sessions.db-wal', 'sessions.db, closed', 'told']))
  const expected = ['login', 'session.created', 'session.rotated', 'session.ended', 'session.superseded', 'cookie.ambiguous']
  expect(heard).toEqual(expect.arrayContaining([...expected, 'user.revoked', 'store.failed']))
})
