// A process that guesses: node guesser.ts '{"address":…,"userId":…,"accounts":1,"guesses":500,"from":"one address","first":0,"net":7}'.
// It says `ready`, waits for a line, sends all guesses at once, and prints what came of them as JSON.
import { once } from 'node:events'
import { createSessions } from 'coatcheck'
import { memoryStore } from 'coatcheck/memory'
import { createAuth } from '../../src/auth.ts'
import { type Address, open } from './connect.ts'

interface Task {
  readonly address: Address
  /** The one account that there is; its e-mail address is not asked for. */
  readonly userId: string
  /** How many are guessed at, one after the other; beyond the first they are nobody's. */
  readonly accounts: number
  readonly guesses: number
  readonly from: keyof typeof addresses
  /** Which of the two processes this is: 0 or 1. */
  readonly first: number
  readonly net: number
}

/** Where the i-th guess of the n-th process comes from; `net` is another one for each test, for they may share a server. */
const addresses = {
  'one address': (net: number) => `198.18.${net >> 8}.${net & 255}`,
  'their own addresses': (_net: number, n: number, i: number) => `10.${n}.${i >> 8}.${i & 255}`,
  'one /64': (net: number, n: number, i: number) => `2001:db8:${net.toString(16)}:2:${n}::${i.toString(16)}`,
  'no address': () => undefined,
} as const

const task = JSON.parse(process.argv[2] ?? '') as Task
const nameOf = (account: number) => `account ${account} of ${task.userId}`
const { limiter, close } = await open(task.address)
const sessions = createSessions({
  store: memoryStore(),
  secret: 'a secret of thirty-two bytes at least, for tests',
  production: false,
})
const auth = createAuth({
  sessions,
  limiter,
  findUser: identifier => (identifier === nameOf(0) ? { id: task.userId } : undefined),
  findCredentials: () => ({ passwordHash: null }),
  savePassword: () => false,
  passwords: { memoryKiB: 8, passes: 1, longestQueue: 10_000 },
})
await limiter.prepare?.()

async function guess(i: number): Promise<string> {
  const ip = addresses[task.from](task.net, task.first, i)
  const { session } = await sessions.open(undefined, { secure: () => true, ip: () => ip, userAgent: () => undefined })
  try {
    const result = await auth.login(session, {
      identifier: nameOf((task.first + 2 * i) % task.accounts),
      password: 'wrong password',
    })
    return result.ok ? 'ok' : result.reason
  } catch (error) {
    return (error as { code?: string }).code ?? String(error)
  }
}

// Ends with its parent, however that ends.
process.stdin.on('end', () => process.exit())
console.log('ready')
await once(process.stdin, 'data')
const outcomes = await Promise.all(Array.from({ length: task.guesses }, (_, i) => guess(i)))
const counts: Record<string, number> = {}
for (const outcome of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1
console.log(JSON.stringify({ hashes: auth.hashing.computed, ...counts }))
await close()
process.exit()
