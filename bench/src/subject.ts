import type { RequestListener } from 'node:http'

/** One person who is signed in: what their browser sends, and who the answer has to name. */
export interface SignedIn {
  /** The whole value of the Cookie header. */
  readonly cookie: string
  readonly userId: string
}

/** A program under measurement, its people already signed in. */
export interface Subject {
  /** Answers `GET /me` of a signed-in person with `{"userId":"…"}`. */
  readonly listener: RequestListener
  readonly signedIn: readonly SignedIn[]
  /** Lets go of what the subject opened. */
  close?(): Promise<void>
}

/**
 * What a file in `subjects/` exports as `start`: builds the program and signs everybody in.
 *
 * @param users the ids of the people, all of one length, so that every answer has the same number of bytes
 */
export type StartSubject = (users: readonly string[]) => Promise<Subject>

/** What the table and the schedule need to know of a subject, without loading it. */
export interface SubjectEntry {
  /** The file in `subjects/`, without extension, and the name for `--only`. */
  readonly name: string
  readonly title: string
  /** Ratios are taken to the limit of the same family. */
  readonly family: Family
  readonly role: 'limit' | 'peer' | 'ours'
  /** People signed in; fewer than `PEOPLE` only where a peer's own test store scans linearly. */
  readonly people?: number
  /** Measured in process too. */
  readonly inProcess: boolean
  /** The server that it shares with other processes, by the environment variable with its address. */
  readonly needs?: StoreUrl
}

/** Frameworks, each with a limit of its own. */
export const FAMILIES = ['express', 'hono', 'fastify'] as const
export type Family = (typeof FAMILIES)[number]

/** The environment variables that name the servers. */
export type StoreUrl = 'REDIS_URL' | 'DATABASE_URL' | 'MONGODB_URL' | 'MEMCACHED_URL'

/** How many people are signed in at once; requests go round all of them. */
export const PEOPLE = 1000

/** Ids `u000000`, `u000001`, … */
export function userIds(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `u${String(index).padStart(6, '0')}`)
}
