import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const examples = join(import.meta.dirname, '../../examples')

let folder = ''
const running = new Set<ChildProcess>()

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'coatcheck-example-'))
})

afterEach(async () => {
  await Promise.all([...running].map(stop))
  rmSync(folder, { recursive: true, force: true })
})

/** Starts the program as its reader would, and gives its address. */
async function start(example: string, env: NodeJS.ProcessEnv = {}): Promise<{ url: string; child: ChildProcess }> {
  const { PATH, NODE_OPTIONS } = process.env
  const child = spawn(process.execPath, [join(examples, example, 'main.ts')], {
    cwd: folder,
    env: { PATH, NODE_OPTIONS, PORT: '0', SESSION_SECRET: 'thirty-two bytes of text at least, for tests', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  running.add(child)
  const printed: string[] = []
  for await (const line of createInterface({ input: child.stdout! })) {
    printed.push(line)
    const port = /port: (\d+)/.exec(printed.join(' '))?.[1]
    if (port !== undefined) return { url: `http://127.0.0.1:${port}`, child }
  }
  throw new Error(`${example} ended before it listened`)
}

async function stop(child: ChildProcess): Promise<void> {
  running.delete(child)
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

/** A browser, as far as cookies go. */
class Browser {
  readonly #jar = new Map<string, string>()

  async send(method: 'GET' | 'POST', url: string, body?: object, headers: Record<string, string> = {}) {
    const json = body === undefined ? {} : { 'content-type': 'application/json' }
    const response = await fetch(url, {
      method,
      headers: { cookie: [...this.#jar].map(pair => pair.join('=')).join('; '), ...json, ...headers },
      redirect: 'manual',
      ...(body && { body: JSON.stringify(body) }),
    })
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      this.#jar.set(name, value)
    }
    return { status: response.status, body: (await response.json()) as unknown }
  }
}

const ada = { name: 'ada', password: 'open sesame' }

describe.each(['minimal-express', 'minimal-hono', 'minimal-node'])('%s', example => {
  test('signs in, lists two devices, signs the other out, outlives a kill, signs out', async () => {
    const { url, child } = await start(example)
    const [laptop, phone] = [new Browser(), new Browser()]
    expect(await laptop.send('GET', `${url}/me`)).toEqual({ status: 401, body: { error: 'Not authenticated' } })
    const wrong = await laptop.send('POST', `${url}/login`, { ...ada, password: 'wrong' })
    expect(wrong).toEqual({ status: 401, body: { error: 'Invalid credentials' } })
    for (const browser of [laptop, phone])
      expect(await browser.send('POST', `${url}/login`, ada)).toEqual({ status: 200, body: { ok: true } })
    expect((await laptop.send('GET', `${url}/devices`)).body).toEqual([
      expect.objectContaining({ current: true, userId: 'ada', ip: expect.stringContaining('127.0.0.1') }),
      expect.objectContaining({ current: false }),
    ])
    expect(await laptop.send('POST', `${url}/devices/sign-out-others`)).toMatchObject({ status: 403 })
    const sameOrigin = { origin: url }
    expect((await laptop.send('POST', `${url}/devices/sign-out-others`, undefined, sameOrigin)).body).toEqual({ ended: 1 })
    expect((await phone.send('GET', `${url}/me`)).status).toBe(401)
    await stop(child)
    const again = await start(example)
    expect(await laptop.send('GET', `${again.url}/me`)).toEqual({ status: 200, body: { userId: 'ada' } })
    expect((await laptop.send('POST', `${again.url}/logout`, undefined, { origin: again.url })).body).toEqual({ ok: true })
    expect((await laptop.send('GET', `${again.url}/me`)).status).toBe(401)
  })

  test('refuses a post from a page of another site', async () => {
    const { url } = await start(example)
    const forged = await new Browser().send('POST', `${url}/login`, ada, { 'sec-fetch-site': 'cross-site' })
    expect(forged).toEqual({ status: 403, body: { error: 'Cross-origin request refused', code: 'CROSS_ORIGIN' } })
  })
})
