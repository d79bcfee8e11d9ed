import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { isLong } from '../../../../test/long.ts'
import { startPostgres } from '../../../../test/services/postgres.ts'
import { startRedis } from '../../../../test/services/redis.ts'
import { service } from '../../../../test/services/service.ts'
import { Browser } from '../../src/testing/browser.ts'
import { askOver } from '../../src/testing/index.ts'

const PEOPLE = 20
const DEAD_MS = 2500

const endings: (() => unknown)[] = []
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end()
})

/** An application in a process of its own, on the server at this URL. */
async function site(url: string, framework: string): Promise<Browser['ask']> {
  const execArgv = process.features.typescript ? [] : ['--experimental-strip-types']
  const child: ChildProcess = fork(join(import.meta.dirname, 'site-process.ts'), [url, framework], { execArgv })
  endings.push(() => child.kill('SIGKILL'))
  const [{ port }] = await once(child, 'message')
  return askOver(`http://127.0.0.1:${port}`)
}

/** People who read and save all the time; each answer is counted by its status and, where it should be a name, by that. */
class People {
  readonly answers: Record<string, number> = {}
  readonly #browsers: readonly (readonly [string, Browser])[]
  #running = true
  #working: Promise<unknown> = Promise.resolve()

  constructor(ask: Browser['ask']) {
    this.#browsers = Array.from({ length: PEOPLE }, (_, i) => [`person-${i}`, new Browser(ask)])
  }

  async start(): Promise<void> {
    for (const [name, browser] of this.#browsers) expect((await browser.get(`/login/${name}`)).status).toBe(200)
    this.#working = Promise.all(this.#browsers.map(([name, browser]) => this.#work(name, browser)))
  }

  async #work(name: string, browser: Browser): Promise<void> {
    for (let turn = 0; this.#running; turn++) {
      await this.#count(browser, turn % 3 === 0 ? `/set/key${turn}` : '/me', turn % 3 === 0 ? 'done' : name)
      await sleep(10)
    }
  }

  async #count(browser: Browser, path: string, right: string): Promise<void> {
    const answer = await browser.get(path).then(
      ({ status, body }) => (status === 200 && String(body) !== right ? `200 ${body} for ${right}` : `${status}`),
      error => String(error),
    )
    this.answers[answer] = (this.answers[answer] ?? 0) + 1
  }

  /** Stops, and asks for everybody once more. */
  async end(): Promise<readonly number[]> {
    this.#running = false
    await this.#working
    const last = await Promise.all(this.#browsers.map(async ([name, browser]) => ({ name, ...(await browser.get('/me')) })))
    return last.map(({ name, status, body }) => (String(body) === name ? status : 0))
  }
}

/** Each framework once, and each store once. */
const pairs = { redis: ['express'], postgres: ['hono'] } as const
if (!isLong) console.log('an outage under an application: NOT RUN for Hono over Redis, Express over Postgres: npm run test:long')

const servers = { redis: startRedis, postgres: startPostgres }
const names = ['redis', 'postgres'] as const
const had = await Promise.all(names.map(async name => ({ name, ...(await service(name)) })))

describe.each(had)('$name is killed and restarted under an application', ({ name, missing }) => {
  test.skipIf(missing).each(isLong ? ['express', 'hono'] : pairs[name])(
    'law 6: %s: over HTTP every refusal is a 503, and nobody is signed out',
    async framework => {
      const server = await servers[name]()
      if ('missing' in server) throw new Error(server.missing)
      endings.push(() => server.stop())
      const people = new People(await site(server.url, framework))
      await people.start()
      await sleep(500)
      await server.kill()
      await sleep(DEAD_MS)
      await server.restart()
      const answered = () => people.answers[200] ?? 0
      const before = answered()
      await expect.poll(answered, { timeout: 30_000 }).toBeGreaterThan(before + 2 * PEOPLE)
      await sleep(500)
      const last = await people.end()
      console.log(`${framework} over ${name}, killed and restarted: ${JSON.stringify(people.answers)}`)
      expect(Object.keys(people.answers).sort()).toEqual(['200', '503'])
      expect(last).toEqual(Array(PEOPLE).fill(200))
    },
    150_000,
  )
})
