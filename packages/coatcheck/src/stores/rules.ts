import type { SessionRecord } from '../core/record.ts'
import type { Marks } from '../core/store.ts'

/** What a store that looks before it writes, under one lock, has to do with a `replace`. */
export type Judgement = 'write' | 'repeated' | 'conflict' | 'gone' | 'refused'

/** Create's rule: a record may begin only under the marks that its login (or visit) found. No generation at all is dead. */
export function mayBegin(record: SessionRecord, marks: Marks): boolean {
  if (marks.generation === '') return false
  return record.generation === marks.generation && (record.userId === null || record.userEpoch === marks.userEpoch)
}

/**
 * The contract of `replace` as one decision: what is stored, what comes, and the marks of the person in what comes.
 *
 * A record that changes nobody but carries another generation than the stored one was read before `revokeEveryone`
 * carried its session over: its writer has to read again.
 */
export function judgeReplace(stored: SessionRecord | undefined, record: SessionRecord, marks: Marks): Judgement {
  if (stored === undefined || marks.generation === '' || stored.generation !== marks.generation) return 'gone'
  if (isRepeat(stored, record)) return 'repeated'
  if (stored.version !== record.version - 1) return 'conflict'
  if (stored.userId !== record.userId && !mayBegin(record, marks)) return 'refused'
  return record.generation === stored.generation ? 'write' : 'conflict'
}

/** True if this very write has landed already and only its answer was lost (law 6). */
function isRepeat(stored: SessionRecord, record: SessionRecord): boolean {
  return (
    stored.version === record.version &&
    stored.tokenHash === record.tokenHash &&
    stored.userId === record.userId &&
    stored.data === record.data
  )
}
