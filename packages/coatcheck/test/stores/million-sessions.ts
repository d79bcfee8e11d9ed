import { memoryStore } from '../../src/stores/memory.ts'

/**
 * Run with `--expose-gc`: makes sessions that live for a second, on a clock that moves as fast as they are made, revokes
 * some of their people, and prints the heap in use after each million as JSON.
 */
const millions = Number(process.argv[2])
let now = 1_700_000_000_000
const store = memoryStore({ clock: { now: () => now } })
const { generation } = await store.marks(null)

function record(i: number) {
  return Object.freeze({
    id: `session-${i}`,
    version: 1,
    tokenHash: `hash-${i}`,
    userId: i % 4 === 0 ? null : `person-${i}`,
    userEpoch: '',
    generation,
    createdAt: now,
    authenticatedAt: null,
    lastSeenAt: now,
    expiresAt: now + 1000,
    remember: false,
    ip: null,
    userAgent: null,
    data: `{"visit":${i}}`,
  })
}

function heapInUse(): number {
  globalThis.gc?.()
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

const heaps: number[] = []
let made = 0
for (let million = 0; million < millions; million++) {
  for (let i = 0; i < 1_000_000; i++) {
    // Twenty sessions a millisecond: 20,000 are alive at a time.
    if (i % 20 === 0) now++
    if ((await store.create(record(million * 1_000_000 + i), now + 1000)) === 'created') made++
    if (i % 10_000 === 0) await store.revokeUser(`person-${million * 1_000_000 + i}`)
  }
  heaps.push(heapInUse())
}
process.stdout.write(JSON.stringify({ made, heaps, alive: (await store.scan(null, 1_000_000)).records.length }))
