import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import { dataFolder } from './app-process.ts'

const KILLS = 50
/** At each of so many kills everybody is being signed out. */
const EVERYONE_EVERY = 5
/** People who use the app at once. Each acts in order, so that what they were told is certain. */
const PEOPLE = 6
/** Changes that one person sends to one session at once. */
const BURST = 4
const MOST_SESSIONS = 5

/** One session as its owner knows it: nothing is in here that was not acknowledged. */
interface Known {
  cookie: string
  readonly keys: string[]
  /** `unsure` while an end or a rotation is on its way, and for good if its answer never came. */
  state: 'alive' | 'unsure' | 'ended'
}

/** What one person was told. */
interface Person {
  readonly name: string
  sessions: Known[]
  /** Cookies that a rotation, a sign-out or a revocation has ended. */
  readonly dead: string[]
}

const counts = { logins: 0, changes: 0, rotations: 0, ends: 0, everyone: 0, kept: 0, refused: 0 }
const folder = dataFolder()
let running: ChildProcess | undefined
afterAll(() => {
  running?.kill('SIGKILL')
  folder.remove()
})

async function launch(): Promise<{ child: ChildProcess; url: string }> {
  const child = fork(join(import.meta.dirname, 'crash-app.ts'), [join(folder.path, 'sessions.db')], { execArgv: [] })
  running = child
  const [port] = (await once(child, 'message')) as [number]
  return { child, url: `http://127.0.0.1:${port}` }
}

/** Undefined if the process died before the answer's head. Whoever has the head has been told. */
async function ask(url: string, method: string, cookie = ''): Promise<Response | undefined> {
  return fetch(url, { method, headers: { cookie } }).catch(() => undefined)
}

function told(response: Response | undefined): response is Response {
  if (response === undefined) return false
  expect(response.status).toBe(200)
  return true
}

function cookieOf(response: Response): string {
  return response.headers.getSetCookie()[0]?.split(';')[0] ?? ''
}

/** Uses the app until it dies. */
async function live(person: Person, url: string, random: () => number): Promise<void> {
  let alive = true
  while (alive) {
    const mine = person.sessions.filter(({ state }) => state === 'alive')
    const one = mine[Math.floor(random() * mine.length)]
    const dice = random()
    if (one === undefined || (dice < 0.2 && mine.length < MOST_SESSIONS)) alive = await signIn(person, url)
    else if (dice < 0.75) alive = await change(person, one, url)
    else if (dice < 0.85) alive = await rotate(person, one, url)
    else if (dice < 0.93) alive = await end(person, [one], () => ask(`${url}/logout`, 'POST', one.cookie))
    else if (dice < 0.96) alive = await end(person, mine, () => ask(`${url}/revoke-mine`, 'POST', one.cookie))
    else
      alive = await end(
        person,
        mine.filter(known => known !== one),
        () => ask(`${url}/revoke-others`, 'POST', one.cookie),
      )
  }
}

async function signIn(person: Person, url: string): Promise<boolean> {
  const response = await ask(`${url}/login/${person.name}`, 'POST')
  if (!told(response)) return false
  counts.logins++
  person.sessions.push({ cookie: cookieOf(response), keys: [], state: 'alive' })
  return true
}

async function change(person: Person, known: Known, url: string): Promise<boolean> {
  const keys = Array.from({ length: BURST }, () => `${person.name}-${counter++}`)
  const responses = await Promise.all(keys.map(key => ask(`${url}/keys/${key}`, 'PUT', known.cookie)))
  const acknowledged = keys.filter((_, index) => told(responses[index]))
  known.keys.push(...acknowledged)
  counts.changes += acknowledged.length
  return acknowledged.length === BURST
}
let counter = 0

async function rotate(person: Person, known: Known, url: string): Promise<boolean> {
  known.state = 'unsure'
  const response = await ask(`${url}/rotate`, 'POST', known.cookie)
  if (!told(response)) return false
  counts.rotations++
  person.dead.push(known.cookie)
  known.cookie = cookieOf(response)
  known.state = 'alive'
  return true
}

async function end(person: Person, these: readonly Known[], act: () => Promise<Response | undefined>): Promise<boolean> {
  for (const known of these) known.state = 'unsure'
  if (!told(await act())) return false
  counts.ends += these.length
  for (const known of these) {
    known.state = 'ended'
    person.dead.push(known.cookie)
  }
  return true
}

/** Signs everybody out, while nobody does anything else: what that must have ended is then certain. */
async function endEveryone(people: readonly Person[], url: string): Promise<void> {
  const all = people.flatMap(({ sessions }) => sessions)
  for (const known of all) known.state = 'unsure'
  if (!told(await ask(`${url}/revoke-everyone`, 'POST'))) return
  counts.everyone++
  for (const person of people) await end(person, person.sessions, async () => new Response())
}

/** Sessions that have not ended for certain. */
function alive(people: readonly Person[]): number {
  return people.flatMap(({ sessions }) => sessions).filter(({ state }) => state !== 'ended').length
}

/** Holds the restarted app to what was acknowledged before the kill. */
async function check(person: Person, url: string): Promise<void> {
  for (const known of person.sessions) {
    if (known.state === 'ended') continue
    const response = await ask(`${url}/session`, 'GET', known.cookie)
    if (known.state === 'alive' || response?.status === 200) {
      expect(response?.status).toBe(200)
      expect(Object.keys((await response?.json()) as object)).toEqual(expect.arrayContaining(known.keys))
      counts.kept++
      known.state = 'alive'
    }
  }
  person.sessions = person.sessions.filter(({ state }) => state === 'alive')
  await checkDead(person.dead.slice(-20), url)
}

async function checkDead(cookies: readonly string[], url: string): Promise<void> {
  for (const cookie of cookies) {
    expect((await ask(`${url}/session`, 'GET', cookie))?.status).toBe(401)
    counts.refused++
  }
}

/** The same acts for the same seed; when they meet the kill is the machine's. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

test(`killed ${KILLS} times under writing load, the app loses no acknowledged session or change, and brings no ended one back`, {
  timeout: 180_000,
}, async () => {
  const people: Person[] = Array.from({ length: PEOPLE }, (_, index) => ({ name: `p${index}`, sessions: [], dead: [] }))
  const randoms = people.map((_, index) => seeded(index + 1))
  const begin = performance.now()
  for (let kill = 0; kill < KILLS; kill++) {
    const { child, url } = await launch()
    const before = alive(people)
    await Promise.all(people.map(person => check(person, url)))
    // Everybody's end is one write: it is there or it is not, also where nobody was told.
    if (kill % EVERYONE_EVERY === 0) expect([0, before]).toContain(alive(people))
    const isEveryone = kill % EVERYONE_EVERY === EVERYONE_EVERY - 1
    const acts = isEveryone
      ? [endEveryone(people, url)]
      : people.map((person, index) => live(person, url, randoms[index] ?? Math.random))
    // Once for certain, then as it comes: before, while or after it is written.
    if (kill === EVERYONE_EVERY - 1) await Promise.all(acts)
    else await delay(isEveryone ? kill % 12 : 40 + ((kill * 37) % 160))
    child.kill('SIGKILL')
    await Promise.all([once(child, 'exit'), ...acts])
  }
  const { child, url } = await launch()
  await Promise.all(people.map(person => check(person, url)))
  await checkDead(
    people.flatMap(({ dead }) => dead),
    url,
  )
  child.kill('SIGKILL')
  await once(child, 'exit')
  console.log(`${KILLS} kills in ${Math.round((performance.now() - begin) / 1000)} s: ${JSON.stringify(counts)}`)
  expect(counts.everyone).toBeGreaterThan(0)
  expect(counts.changes).toBeGreaterThan(KILLS)
  expect(counts.ends).toBeGreaterThan(KILLS)
})
