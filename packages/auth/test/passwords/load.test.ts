import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { afterAll, expect, test } from 'vitest'

const PASSWORD = 'k7#pQz!w and more'
const LOGINS = 200
const ROUNDS = 5
const child = spawn(
  process.execPath,
  [join(import.meta.dirname, '../support/app.ts'), '{"passwords":{"memoryKiB":19456,"passes":2,"longestQueue":256}}'],
  {
    stdio: ['pipe', 'pipe', 'inherit'],
  },
)
afterAll(() => void child.kill('SIGKILL'))

const one = new Agent({ keepAlive: true, maxSockets: 1 })
const many = new Agent({ keepAlive: true, maxSockets: LOGINS })

function send(agent: Agent, url: string, method = 'GET', body = '', cookie = ''): Promise<IncomingMessage & { body: string }> {
  return new Promise((resolve, reject) => {
    const headers = {
      cookie,
      ...(body === '' ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
    }
    const sent = request(url, { agent, method, headers })
    sent.on('error', reject)
    sent.on('response', response => text(response).then(body => resolve(Object.assign(response, { body })), reject))
    sent.end(body)
  })
}

const percentile = (values: readonly number[], share: number) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] as number
const median = (values: readonly number[]) => percentile(values, 0.5)

test(`while ${LOGINS} logins wait to be hashed, another's request is answered within three times its idle time`, {
  timeout: 120_000,
}, async () => {
  const [line] = await once(createInterface({ input: child.stdout }), 'line')
  const { url, email } = JSON.parse(line as string)
  const form = JSON.stringify({ email, password: PASSWORD })
  const signedIn = await send(one, `${url}/login`, 'POST', form)
  const cookie = (signedIn.headers['set-cookie'] ?? []).map(value => value.split(';')[0]).join('; ')

  /** Latencies of signed-in requests, one every two milliseconds or as soon as the last is answered, until told to stop. */
  async function watch(until: () => boolean): Promise<number[]> {
    const times: number[] = []
    while (!until()) {
      const startedAt = performance.now()
      const { statusCode } = await send(one, `${url}/me`, 'GET', '', cookie)
      times.push(performance.now() - startedAt)
      expect(statusCode).toBe(200)
      await new Promise(resolve => setTimeout(resolve, 2))
    }
    return times
  }

  const memory = async () => JSON.parse((await send(one, `${url}/memory`)).body) as { rss: number }
  const idle: number[] = []
  const busy: number[] = []
  let [highest, before] = [0, 0]
  let statuses: (number | undefined)[] = []
  await watch(() => performance.now() > 3000)
  for (let round = 0; round < ROUNDS; round++) {
    const endOfIdle = performance.now() + 1500
    idle.push(percentile(await watch(() => performance.now() > endOfIdle), 0.99))
    if (round === 1) before = (await memory()).rss
    let left = LOGINS
    const logins = Array.from({ length: LOGINS }, () => send(many, `${url}/login`, 'POST', form).finally(() => left--))
    busy.push(percentile(await watch(() => left === 0), 0.99))
    statuses = [...statuses, ...(await Promise.all(logins)).map(({ statusCode }) => statusCode)]
    highest = Math.max(highest, (await memory()).rss)
  }
  const ratio = median(busy.map((value, i) => value / (idle[i] as number)))
  const mib = (bytes: number) => (bytes / 1_048_576).toFixed(0)
  console.log(
    `p99 of an unrelated request, ${ROUNDS} rounds: idle ${idle.map(value => value.toFixed(2)).join(' ')} ms, ` +
      `during ${LOGINS} logins ${busy.map(value => value.toFixed(2)).join(' ')} ms, median ratio ${ratio.toFixed(2)}; ` +
      `memory ${mib(before)} MiB after the first round, ${mib(highest)} MiB at most`,
  )
  expect(statuses.filter(status => status === 200)).toHaveLength(LOGINS * ROUNDS)
  expect(ratio).toBeLessThanOrEqual(3)
  expect(highest - before).toBeLessThan(150 * 1_048_576)
  one.destroy()
  many.destroy()
})
