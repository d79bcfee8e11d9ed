import { CoatcheckError } from './errors.ts'

/**
 * How the request stands to a stored session: it has none, it has one, its token was replaced by a parallel request, or
 * the session was ended by somebody else while the request was under way.
 */
export type Standing = 'none' | 'live' | 'superseded' | 'gone'

/** What the data of this request says, against what was read. */
export interface Change {
  readonly standing: Standing
  /** True if the JSON text differs from what was read. */
  readonly changed: boolean
  /** Who was signed in by the record; null for nobody. */
  readonly before: string | null
  /** Who is signed in by the data now. */
  readonly after: string | null
  /** True if the same person's privilege differs from what was read. */
  readonly privilegeChanged: boolean
}

/** What has to be done before the first byte leaves. */
export type Plan =
  /** Nothing to write, nothing to send. */
  | 'nothing'
  /** A record under a new id, with a new token. */
  | 'birth'
  /** The same record, the same token. */
  | 'save'
  /** The same record and clocks, a new token. */
  | 'rotate'
  /** The visitor's record becomes a person's: new token, new clocks. */
  | 'promote'
  /** The session ends; its data goes with it. */
  | 'end'
  /** The session is no more: the change goes nowhere. Its bag may still name the person, so it must not be born again. */
  | 'drop'

/**
 * Decides what a request's data asks for (DESIGN §3).
 *
 * @throws CoatcheckError `IDENTITY_CHANGED` where one person's session was assigned to another, `SESSION_SUPERSEDED`
 *   where a dead token's request wrote
 */
export function planCommit(change: Change): Plan {
  if (!change.changed) return 'nothing'
  if (change.standing === 'none') return 'birth'
  if (change.standing === 'gone') return 'drop'
  if (change.standing === 'superseded') return planSuperseded(change)
  if (change.before === change.after) return change.privilegeChanged && change.before !== null ? 'rotate' : 'save'
  if (change.before === null) return 'promote'
  if (change.after === null) return 'end'
  throw new CoatcheckError(
    'IDENTITY_CHANGED',
    "This session is one person's, and its data now names another. Call `await session.login(userId)`, which ends the first session and starts a clean one.",
  )
}

/** Only a login may go on: and a bag that named somebody when it was read is no login. */
function planSuperseded(change: Change): Plan {
  if (change.before === null && change.after !== null) return 'birth'
  throw superseded()
}

/** The answer to a request whose token was replaced while it was under way; its browser has the new one. */
export function superseded(): CoatcheckError {
  return new CoatcheckError(
    'SESSION_SUPERSEDED',
    'This session has just been given a new token by a parallel request. Nothing was changed; repeat the request with the new cookie.',
  )
}

/**
 * This request's changes to the top-level keys, applied to what somebody else has saved meanwhile (law 3).
 *
 * Never a deep merge: a key is one value, and the last writer of a key wins it whole.
 *
 * @param before the JSON that this request read
 * @param after the JSON that it wants to save
 * @param fresh the JSON that is stored now
 */
export function mergeData(before: string, after: string, fresh: string): string {
  if (fresh === before) return after
  const old = JSON.parse(before) as Record<string, unknown>
  const wanted = JSON.parse(after) as Record<string, unknown>
  const merged = JSON.parse(fresh) as Record<string, unknown>
  for (const key of Object.keys(old)) if (!Object.hasOwn(wanted, key)) delete merged[key]
  for (const key of changedKeys(old, wanted)) merged[key] = wanted[key]
  return JSON.stringify(merged)
}

/** Only the keys that this request set or changed, for a session that must begin without the rest. */
export function onlyChanges(before: string, after: string): string {
  if (before === '{}') return after
  const old = JSON.parse(before) as Record<string, unknown>
  const wanted = JSON.parse(after) as Record<string, unknown>
  return JSON.stringify(Object.fromEntries(changedKeys(old, wanted).map(key => [key, wanted[key]])))
}

function changedKeys(old: Record<string, unknown>, wanted: Record<string, unknown>): string[] {
  return Object.keys(wanted).filter(key => !Object.hasOwn(old, key) || JSON.stringify(old[key]) !== JSON.stringify(wanted[key]))
}
