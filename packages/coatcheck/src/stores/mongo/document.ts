import { CoatcheckError } from '../../core/errors.ts'
import type { SessionRecord } from '../../core/record.ts'
import type { MongoDocument } from './client.ts'

/** Raised when the fields of a record's document change. No other kind of document of ours has it. */
const FORMAT = 1

/** The `_id` of what is no session. Objects, since a session's is text: nobody can name one where a session is asked for. */
export const GENERATION = { mark: 'generation' }
export const epochOf = (userId: string) => ({ epochOf: userId })
export const probeOf = (watch: string) => ({ probeOf: watch })

/** A filter for our records, so that no other document is ever changed or deleted. */
export const ANY_RECORD = { format: FORMAT }

/** `$eq`, so that an object in the place of an id is compared with and is no operator. */
export function recordOf(id: string): object {
  return { _id: { $eq: id }, ...ANY_RECORD }
}

export function recordsOfUser(userId: string): object {
  return { userId: { $eq: userId }, ...ANY_RECORD }
}

/** The times that only rise. */
export interface Rising {
  readonly lastSeenAt: number
  readonly forgetAt: Date
}

/** What a save sets: no time that only rises, and not the generation, which is what it was saved under. */
export function fieldsOf(record: SessionRecord): MongoDocument {
  const { id: _id, generation: _stays, lastSeenAt: _rises, ...fields } = record
  return fields
}

/** `forgetAt` is a Date because MongoDB's TTL index takes no other. */
export function risingOf(lastSeenAt: number, forgetAt: number): Rising {
  return { lastSeenAt, forgetAt: new Date(forgetAt) }
}

export function toDocument(record: SessionRecord, forgetAt: number): MongoDocument {
  const fields = { ...fieldsOf(record), generation: record.generation, ...risingOf(record.lastSeenAt, forgetAt) }
  return { _id: record.id, ...ANY_RECORD, ...fields, ...pendingOf(record) }
}

/** A login stands so until the marks were looked at after its writing. */
export function pendingOf({ userId }: SessionRecord): MongoDocument {
  return userId === null ? {} : { pending: true }
}

/** @throws CoatcheckError `FOREIGN_RECORD` for a document that Coatcheck did not write, or of another format */
export function toRecord(document: MongoDocument): SessionRecord {
  const text = (name: string) => typed(document, name, 'string')
  const textOrNull = (name: string) => (document[name] === null ? null : text(name))
  const whole = (name: string) => typed(document, name, 'number')
  if (document.format !== FORMAT) throw foreign(document)
  return Object.freeze({
    id: text('_id'),
    version: whole('version'),
    tokenHash: text('tokenHash'),
    userId: textOrNull('userId'),
    userEpoch: text('userEpoch'),
    generation: text('generation'),
    createdAt: whole('createdAt'),
    authenticatedAt: document.authenticatedAt === null ? null : whole('authenticatedAt'),
    lastSeenAt: whole('lastSeenAt'),
    expiresAt: whole('expiresAt'),
    remember: document.remember === true,
    ip: textOrNull('ip'),
    userAgent: textOrNull('userAgent'),
    data: text('data'),
  })
}

interface Typed {
  string: string
  number: number
}

function typed<Name extends keyof Typed>(document: MongoDocument, name: string, type: Name): Typed[Name] {
  const value = document[name]
  if (is(value, type)) return value
  throw foreign(document)
}

function is<Name extends keyof Typed>(value: unknown, type: Name): value is Typed[Name] {
  return typeof value === type && (type === 'string' || Number.isSafeInteger(value))
}

function foreign({ _id, format }: MongoDocument): CoatcheckError {
  const what = typeof format === 'number' ? `a record of format ${format}` : 'a document that Coatcheck did not write'
  return new CoatcheckError(
    'FOREIGN_RECORD',
    `MongoDB holds ${what} under the session id ${String(_id)}. Give Coatcheck a collection of its own.`,
  )
}
