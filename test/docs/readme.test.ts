import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePort } from '../services/ports.ts'
import { root } from './pages.ts'

const text = readFileSync(join(root, 'README.md'), 'utf8')
const program = text.match(/^```ts\n([\s\S]*?)^```/m)?.[1] ?? ''
const shownCookies = [...text.matchAll(/^Set-Cookie: (.*)$/gm)].map(([, value = '']) => value)
// Inside the repository, so that the program finds our packages as its reader does. They must be built.
const folder = join(root, 'node_modules/.cache/coatcheck/readme', `${process.pid}`)
const running: ChildProcess[] = []

beforeAll(() => {
  mkdirSync(folder, { recursive: true })
  // It has no types in it, and so runs as it stands.
  writeFileSync(join(folder, 'program.mjs'), program)
})
afterAll(() => {
  for (const child of running) child.kill()
  rmSync(folder, { recursive: true, force: true })
})

async function start(env: NodeJS.ProcessEnv): Promise<string> {
  const port = await freePort()
  const secret = 'a-secret-for-tests-of-32-bytes-or-more'
  const given = { PATH: process.env.PATH, PORT: String(port), SESSION_SECRET: secret, ...env }
  running.push(spawn(process.execPath, ['program.mjs'], { cwd: folder, env: given, stdio: 'ignore' }))
  const url = `http://127.0.0.1:${port}`
  for (let tries = 0; tries < 200; tries++) {
    if (await fetch(url).catch(() => undefined)) return url
    await delay(50)
  }
  throw new Error('The program of the README does not listen.')
}

function signIn(url: string, password: string): Promise<Response> {
  return fetch(`${url}/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ password }),
  })
}

function withoutToken(cookie: string | undefined): string | undefined {
  return cookie?.replace(/=[\w-]{22}\.[\w-]{43}\.[\w-]{43};/, '=token;')
}

test('the program is complete in under 15 lines', () => {
  expect(program.trimEnd().split('\n').length).toBeLessThan(15)
})

test('the program runs: sign-in, devices, sign-out', async () => {
  const url = await start({})
  expect((await signIn(url, 'wrong')).status).toBe(401)
  const signedIn = await signIn(url, 'open sesame')
  const cookie = signedIn.headers.getSetCookie()[0]?.split(';')[0] ?? ''
  const devices = () => fetch(`${url}/devices`, { headers: { cookie } })
  expect(await (await devices()).json()).toMatchObject([{ userId: 'ada', current: true }])
  await fetch(`${url}/logout`, { method: 'POST', headers: { cookie } })
  expect((await devices()).status).toBe(401)
})

test.each([
  ['development', {}, 0],
  ['production', { NODE_ENV: 'production' }, 1],
])('the Set-Cookie line shown for %s is the one that is sent', async (_, env, index) => {
  const answer = await signIn(await start(env), 'open sesame')
  const [sent] = answer.headers.getSetCookie()
  expect(withoutToken(sent)).toContain('=token;')
  expect(withoutToken(sent)).toBe(withoutToken(shownCookies[index]))
})

test("the package's own page shows the same program, cookies and stores", () => {
  const own = readFileSync(join(root, 'packages/coatcheck/README.md'), 'utf8')
  const parts = [/^```ts\n[\s\S]*?^```/m, /^```http\n[\s\S]*?^```/m, /^\| store \|[\s\S]*?\n\n/m]
  for (const part of parts) expect(part.exec(own)?.[0]).toBe(part.exec(text)?.[0] ?? 'missing')
})

test('there are two commands for a fresh machine', () => {
  const commands = [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, command = '']) => command.trim())
  expect(commands).toEqual(['npm ci && npm start', 'npm ci && npm test'])
})
