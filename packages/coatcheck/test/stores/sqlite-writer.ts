import { randomBytes } from 'node:crypto'
import { writeSync } from 'node:fs'
import type { SessionRecord } from '../../src/core/record.ts'
import { sqliteStore } from '../../src/stores/sqlite.ts'
import { later, nextVersion, sampleRecord } from '../../src/testing/records.ts'

/**
 * Writes until it is killed. Each act is told twice on stdout, synchronously: before it begins, and once it was
 * acknowledged, with what the store then holds (null: nothing) under each id that it touched.
 */
const store = sqliteStore(process.argv[2] ?? '')
const living: SessionRecord[] = []

function tell(done: boolean, outcome: Record<string, SessionRecord | null>): void {
  writeSync(1, `${JSON.stringify({ done, outcome })}\n`)
}

async function act(outcome: Record<string, SessionRecord | null>, write: () => Promise<unknown>): Promise<void> {
  tell(false, outcome)
  await write()
  tell(true, outcome)
}

async function begin(userId: string | null): Promise<void> {
  const record = sampleRecord({
    userId,
    ...(await store.marks(userId)),
    data: JSON.stringify({ fill: randomBytes(100).toString('hex') }),
  })
  await act({ [record.id]: record }, () => store.create(record, later()))
  living.push(record)
}

async function change(index: number): Promise<void> {
  const old = living[index]
  if (old === undefined) return
  const record = nextVersion(old, { data: JSON.stringify({ version: old.version + 1 }) })
  await act({ [record.id]: record }, () => store.replace(record, later()))
  living[index] = record
}

async function end(index: number): Promise<void> {
  const [record] = living.splice(index, 1)
  if (record) await act({ [record.id]: null }, () => store.delete(record.id))
}

async function endAllOf(userId: string): Promise<void> {
  const theirs = living.filter(record => record.userId === userId)
  await act(Object.fromEntries(theirs.map(record => [record.id, null])), () => store.revokeUser(userId))
  for (const record of theirs) living.splice(living.indexOf(record), 1)
}

for (let i = 0; ; i++) {
  await begin(i % 3 === 0 ? null : `person ${process.pid} ${i % 7}`)
  await change((i * 7) % living.length)
  if (i % 5 === 4) await end((i * 3) % living.length)
  if (i % 20 === 19) await endAllOf(`person ${process.pid} ${i % 7}`)
}
