import { createHash } from 'node:crypto'
import type { SessionRecord, SessionStore } from 'coatcheck'
import { benchSessions } from '../apps/coatcheck-sessions.ts'

/**
 * Millions of sessions, made by copying one that our own code has made: its id, person and times are replaced by ones
 * that follow from the session's number, so that whoever measures knows them without asking.
 */
export interface Plan {
  readonly sessions: number
  /** Sessions go round all of them. */
  readonly people: number
  /** Every so many-th session has ended a day ago and may be thrown away; none unless given. */
  readonly deadEvery?: number
  /** Made by our code; already in the store, and not counted. */
  readonly template: SessionRecord
}

/** 120 bytes of JSON, but for the user id that is kept beside it. */
export const APP_DATA: Readonly<Record<string, string>> = { note: 'x'.repeat(109) }

/** What the device list keeps by default, at an ordinary length. */
export const WHERE_FROM = {
  ip: '203.0.113.142',
  userAgent: 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
}

/** Of an id: 22 characters of base64url. */
export const ID_BYTES = 16

export const DAY_MS = 86_400_000
/** Begun over the last so many days. */
export const SPREAD_MS = 14 * DAY_MS

/** As long as every other id of a person. */
const TEMPLATE_USER = userIdAt(99_999_999)

/** A session of ours with `APP_DATA`, in the store; with `from`, as after a request that told where it comes from. */
export async function makeTemplate(store: SessionStore, from: Partial<SessionRecord> = {}): Promise<SessionRecord> {
  const sessions = benchSessions(store)
  const cookie = await sessions.issue(TEMPLATE_USER, APP_DATA)
  // Or it would begin to prune what is being filled.
  await sessions.close()
  const id = cookie.slice(cookie.indexOf('=') + 1, cookie.indexOf('.'))
  const made = (await store.read(id))!
  if (Object.keys(from).length === 0) return made
  const told = { ...made, ...from, version: made.version + 1 }
  await store.replace(told, told.expiresAt)
  return told
}

/** The id of the session of this number. */
export function idAt(number: number): string {
  return digest(`s${number}`).subarray(0, ID_BYTES).toString('base64url')
}

/** The token's hash of the session of this number. */
export function tokenHashAt(number: number): string {
  return digest(`t${number}`).toString('base64url')
}

/** The id of the person of this number. */
export function userIdAt(person: number): string {
  return `u${String(person).padStart(8, '0')}`
}

/** When the session of this number began. */
export function createdAt({ template }: Plan, number: number): number {
  return template.createdAt - ((number * 7919) % SPREAD_MS)
}

/** Whether the session of this number has ended. */
export function isDead({ deadEvery }: Plan, number: number): boolean {
  return deadEvery !== undefined && number % deadEvery === 0
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
