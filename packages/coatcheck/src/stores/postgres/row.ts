import { CoatcheckError } from '../../core/errors.ts'
import type { SessionRecord } from '../../core/record.ts'
import type { PostgresRow } from './client.ts'

/** A record's values in the order of the statements' columns. */
export function toRow(record: SessionRecord, forgetAt: number): unknown[] {
  return [
    record.id,
    record.version,
    record.tokenHash,
    record.userId,
    record.userEpoch,
    record.generation,
    record.createdAt,
    record.authenticatedAt,
    record.lastSeenAt,
    record.expiresAt,
    record.remember,
    record.ip,
    record.userAgent,
    record.data,
    forgetAt,
  ]
}

/** @throws CoatcheckError `FOREIGN_RECORD` for a row that Coatcheck did not write */
export function toRecord(row: PostgresRow): SessionRecord {
  return Object.freeze({
    id: text(row.id),
    version: whole(row.version),
    tokenHash: filled(row.token_hash),
    userId: textOrNull(row.user_id),
    userEpoch: text(row.user_epoch),
    generation: filled(row.generation),
    createdAt: whole(row.created_at),
    authenticatedAt: row.authenticated_at == null ? null : whole(row.authenticated_at),
    lastSeenAt: whole(row.last_seen_at),
    expiresAt: whole(row.expires_at),
    remember: row.remember === true,
    ip: textOrNull(row.ip),
    userAgent: textOrNull(row.user_agent),
    data: filled(row.data),
  })
}

export function text(value: unknown): string {
  if (typeof value === 'string') return value
  throw foreign()
}

export function textOrNull(value: unknown): string | null {
  return value == null ? null : text(value)
}

function filled(value: unknown): string {
  if (value === '') throw foreign()
  return text(value)
}

/** `pg` gives a bigint as text, unless the application has set a parser of its own. */
export function whole(value: unknown): number {
  const number = Number(value)
  if (value !== null && Number.isSafeInteger(number)) return number
  throw foreign()
}

function foreign(): CoatcheckError {
  return new CoatcheckError(
    'FOREIGN_RECORD',
    'A session row holds a value that Coatcheck does not write. Give it a schema of its own, with the default type parsers for text, int, bigint and boolean.',
  )
}
