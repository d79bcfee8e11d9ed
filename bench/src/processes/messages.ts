import type { SignedIn } from '../subject.ts'

/** The server's first message: it listens. */
export interface ServerReady {
  readonly port: number
  readonly signedIn: readonly SignedIn[]
}

/** What the server process has used up since it began. */
export interface ServerMark {
  readonly cpuUs: number
  readonly atMs: number
}

export type ServerQuestion = { readonly do: 'mark' } | { readonly do: 'loop'; readonly ms: number }

/** The in-process loop's answer. */
export interface LoopResult {
  readonly requests: number
  readonly cpuUs: number
}

/** One slice of load on one server. */
export interface SliceQuestion extends ServerReady {
  readonly connections: number
  /** Milliseconds before counting begins. */
  readonly warmMs: number
  /** Milliseconds of counting. */
  readonly ms: number
}

/** What the load generator saw. */
export interface SliceResult {
  /** Within the counted time. */
  readonly requests: number
  readonly seconds: number
  /** From the first to the last, uncounted ones included. */
  readonly allRequests: number
  /** How much of the counted time the load generator had something to do, 0 to 1. */
  readonly busy: number
  /** Bytes of one request and one response. */
  readonly requestBytes: number
  readonly responseBytes: number
  /** The first wrong answer; undefined if all were right. */
  readonly wrong?: string
}

/** Sessions to be made, ended, and asked for at the server behind this port. */
export interface RevocationQuestion {
  readonly port: number
  readonly revocations: number
}

/** What was seen, one number for each session. */
export interface RevocationResult {
  /** Milliseconds of one request and its answer, for a session that nobody ended. */
  readonly bareMs: number[]
  /** Milliseconds from the end of `revoke()` to the first refusal's arrival. */
  readonly refusedMs: number[]
  /** Answers that still knew somebody after `revoke()` had resolved. */
  servedAfter: number
}
