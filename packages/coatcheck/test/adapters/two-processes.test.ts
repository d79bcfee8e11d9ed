import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Browser } from '../../src/testing/browser.ts'
import { askOver, type Served } from '../../src/testing/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'coatcheck-'))
const children: ChildProcess[] = []
let one: Served['ask']
let two: Served['ask']

/** An application in a process of its own, on the one file. */
async function site(framework: 'express' | 'hono'): Promise<Served['ask']> {
  const execArgv = process.features.typescript ? [] : ['--experimental-strip-types']
  const script = fileURLToPath(new URL('./site-process.ts', import.meta.url))
  const child = fork(script, [join(folder, 'sessions.db'), framework], { execArgv })
  children.push(child)
  const [{ port }] = await once(child, 'message')
  return askOver(`http://127.0.0.1:${port}`)
}

beforeAll(async () => {
  one = await site('express')
  two = await site('hono')
})

afterAll(async () => {
  for (const child of children) {
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  }
  rmSync(folder, { recursive: true })
})

async function bodyOf(browser: Browser, path: string): Promise<string> {
  const { status, body } = await browser.get(path)
  expect(status, `${path}: ${body}`).toBe(200)
  return body
}

/** The same browser, before the other process: what it holds now. */
const at = (ask: Served['ask'], like: Browser) => new Browser(ask, like)

/** Ends, from the process that `ask` reaches, the session that `browser` has. */
const endings: Readonly<Record<string, (ask: Served['ask'], browser: Browser, id: string) => Promise<unknown>>> = {
  logout: (ask, browser) => bodyOf(at(ask, browser), '/logout'),
  'a rotation': (ask, browser) => bodyOf(at(ask, browser), '/rotate'),
  'a login as another person': (ask, browser) => bodyOf(at(ask, browser), '/login/bob'),
  revoke: (ask, _browser, id) => bodyOf(new Browser(ask), `/revoke/${id}`),
  revokeUser: ask => bodyOf(new Browser(ask), '/revoke-user/alice'),
  revokeEveryone: ask => bodyOf(new Browser(ask), '/revoke-everyone'),
  async revokeOthers(ask) {
    const other = new Browser(ask)
    await bodyOf(other, '/login/alice')
    await bodyOf(other, '/revoke-others')
  },
}

describe('two processes on one sqlite file, an Express app and a Hono app', () => {
  for (const [what, end] of Object.entries(endings)) {
    test(`law 9: ${what} in one is effective on the next HTTP request in the other, twenty times and both ways`, async () => {
      for (let round = 0; round < 20; round++) {
        const [here, there] = round % 2 === 0 ? [one, two] : [two, one]
        const browser = new Browser(here)
        await bodyOf(browser, '/login/alice')
        const elsewhere = at(there, browser)
        // Read there before: what that process may keep of it must not outlive the end.
        for (let read = 0; read < 3; read++) expect(await bodyOf(elsewhere, '/me')).toBe('alice')
        await end(here, browser, await bodyOf(browser, '/id'))
        expect(await bodyOf(elsewhere, '/me')).toBe('nobody')
      }
    })
  }

  test('law 3: forty parallel requests through both, each setting a key of its own, lose no acknowledged key', async () => {
    const browser = new Browser(one)
    await bodyOf(browser, '/login/alice')
    const replies = await Promise.all(
      Array.from({ length: 40 }, (_, i) => at(i % 2 === 0 ? one : two, browser).get(`/set/key${i}`)),
    )
    const data = JSON.parse(await bodyOf(at(two, browser), '/data')) as Record<string, unknown>
    for (const [i, { status }] of replies.entries()) if (status === 200) expect(data).toHaveProperty(`key${i}`)
    expect(replies.filter(({ status }) => status === 200).length).toBeGreaterThan(20)
    expect(replies.filter(({ status }) => status !== 200 && status !== 503)).toEqual([])
  })
})
