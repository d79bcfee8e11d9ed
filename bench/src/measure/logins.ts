import { setTimeout as sleep } from 'node:timers/promises'
import { PASSWORD } from '../apps/auth-app.ts'
import { Child } from '../processes/child.ts'
import { type Connection, getRequest, openConnection } from '../processes/connection.ts'
import { type Latency, latencyOf } from '../statistics.ts'

/** What an unrelated signed-in request waits while many people sign in. */
export interface LoginLoad {
  readonly logins: number
  readonly idle: Latency
  readonly busy: Latency
  /** Resident memory at the greatest, less that before; MiB. */
  readonly memoryMiB: number
}

const LOGINS = 200
const WATCH_MS = 1500
const BETWEEN_MS = 4
const WARM_ROUNDS = 2
const MIB = 2 ** 20

/**
 * Rounds of quiet and of 200 logins at once, in turns. One request after the other on a kept connection, from this
 * process, while the server computes its hashes on threads; all of it on whatever cores there are.
 */
export async function measureLogins(rounds: number): Promise<LoginLoad> {
  const { child, ready } = await Child.start<{ port: number }>('auth-server.ts', [], undefined)
  const { port } = ready
  const [watcher, ...people] = await Promise.all(Array.from({ length: LOGINS + 1 }, () => openConnection(port)))
  const me = getRequest(port, '/me', cookieIn(await signIn(watcher!, 'watcher')))
  const memory = async () => (await child.ask<{ rss: number }>({})).rss / MIB
  const [idle, busy]: [number[], number[]] = [[], []]
  await watch(watcher!, me, elapsed(WATCH_MS))
  for (let round = 0; round < WARM_ROUNDS; round++) await watchLogins(watcher!, me, people)
  const before = await memory()
  let highest = before
  for (let round = 0; round < rounds; round++) {
    idle.push(...(await watch(watcher!, me, elapsed(WATCH_MS))))
    busy.push(...(await watchLogins(watcher!, me, people)))
    highest = Math.max(highest, await memory())
  }
  for (const connection of [watcher!, ...people]) connection.close()
  await child.stop()
  return { logins: LOGINS, idle: latencyOf(idle), busy: latencyOf(busy), memoryMiB: highest - before }
}

async function signIn(person: Connection, identifier: string): Promise<string> {
  const body = JSON.stringify({ identifier, password: PASSWORD })
  const head = `POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`
  const answer = await person.ask(head + body)
  if (!answer.startsWith('HTTP/1.1 200')) throw new Error(`A login that should succeed got: ${answer}`)
  return answer
}

function cookieIn(answer: string): string {
  return [...answer.matchAll(/^set-cookie: ([^;]+)/gim)].map(([, pair]) => pair).join('; ')
}

/** Milliseconds of one request after the other, with a pause in between, until told to stop. */
async function watch(watcher: Connection, request: string, isOver: () => boolean): Promise<number[]> {
  const times: number[] = []
  while (!isOver()) {
    const asked = performance.now()
    const answer = await watcher.ask(request)
    times.push(performance.now() - asked)
    if (!answer.includes('"userId"')) throw new Error(`A signed-in person got: ${answer}`)
    await sleep(BETWEEN_MS)
  }
  return times
}

async function watchLogins(watcher: Connection, request: string, people: readonly Connection[]): Promise<number[]> {
  let done = 0
  const logins = people.map((person, index) => signIn(person, `person-${index}`).finally(() => done++))
  const times = await watch(watcher, request, () => done === people.length)
  await Promise.all(logins)
  return times
}

function elapsed(ms: number): () => boolean {
  const end = performance.now() + ms
  return () => performance.now() > end
}
