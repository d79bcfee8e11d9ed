// A process that guesses: node guesser.ts '{"address":…,"email":…,"guesses":500,"oneIp":true}'. It says `ready`, waits for a
// line, sends all guesses at once, and prints what came of them as JSON.
import { once } from 'node:events'
import { createSessions } from 'coatcheck'
import { memoryStore } from 'coatcheck/memory'
import { createAuth } from '../../src/auth.ts'
import { type Address, open } from './connect.ts'

interface Task {
  readonly address: Address
  readonly email: string
  readonly guesses: number
  /** All from one address, or each from its own. */
  readonly oneIp: boolean
  /** So that two processes use different addresses. */
  readonly first: number
}

const task = JSON.parse(process.argv[2] ?? '') as Task
const { limiter, close } = await open(task.address)
const sessions = createSessions({
  store: memoryStore(),
  secret: 'a secret of thirty-two bytes at least, for tests',
  production: false,
})
const auth = createAuth({
  sessions,
  limiter,
  findUser: email => (email === task.email ? { id: email } : undefined),
  findCredentials: () => ({ passwordHash: null }),
  savePassword: () => false,
  passwords: { memoryKiB: 8, passes: 1, longestQueue: 10_000 },
})
await limiter.prepare?.()

async function guess(i: number): Promise<string> {
  const ip = task.oneIp ? '192.0.2.66' : `10.${task.first}.${i >> 8}.${i & 255}`
  const { session } = await sessions.open(undefined, { secure: () => true, ip: () => ip, userAgent: () => undefined })
  try {
    const result = await auth.login(session, { identifier: task.email, password: 'wrong password' })
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
