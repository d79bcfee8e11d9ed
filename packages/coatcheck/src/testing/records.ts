import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { SessionRecord } from '../core/record.ts'
import type { SessionStore } from '../core/store.ts'

export const HOUR_MS = 3_600_000

/** What a test says of a record; the rest is made up. */
export type RecordFields = Partial<SessionRecord>

/** A well-formed record with a random id and token hash, frozen as core's are; a visitor's unless `userId` is given. */
export function sampleRecord(fields: RecordFields = {}): SessionRecord {
  const now = Date.now()
  const userId = fields.userId ?? null
  return Object.freeze({
    id: randomBytes(16).toString('base64url'),
    version: 1,
    tokenHash: sampleHash(),
    userId,
    userEpoch: '',
    generation: '',
    createdAt: now,
    authenticatedAt: userId === null ? null : now,
    lastSeenAt: now,
    expiresAt: now + 720 * HOUR_MS,
    remember: false,
    ip: '192.0.2.7',
    userAgent: 'Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0',
    data: '{}',
    ...fields,
  })
}

/** 43 characters of base64url, as a SHA-256 is written. */
export function sampleHash(): string {
  return randomBytes(32).toString('base64url')
}

/** A time at which no store of a test may forget a record: in an hour. */
export function later(): number {
  return Date.now() + HOUR_MS
}

/** A record made under the store's present marks, but not yet stored. */
export async function preparedRecord(store: SessionStore, fields: RecordFields = {}): Promise<SessionRecord> {
  const { userEpoch, generation } = await store.marks(fields.userId ?? null)
  return sampleRecord({ userEpoch, generation, ...fields })
}

/** A record made under the store's present marks, and stored. */
export async function storedRecord(store: SessionStore, fields: RecordFields = {}, forgetAt = later()): Promise<SessionRecord> {
  const record = await preparedRecord(store, fields)
  assert.equal(await store.create(record, forgetAt), 'created')
  return record
}

/** What a save of `record` writes: the version raised, the given fields changed. */
export function nextVersion(record: SessionRecord, fields: RecordFields = {}): SessionRecord {
  return Object.freeze({ ...record, version: record.version + 1, ...fields })
}
