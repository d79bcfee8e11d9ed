import type { SharedKind } from '../apps/shared-stores.ts'
import { Child } from '../processes/child.ts'
import type { Cores } from '../processes/cores.ts'
import type { RevocationQuestion, RevocationResult, ServerReady, SliceQuestion, SliceResult } from '../processes/messages.ts'
import { type Latency, latencyOf, median } from '../statistics.ts'
import { PEOPLE } from '../subject.ts'

/** From `revoke()` in one process to the refusal in another, under load. */
export interface Revocation {
  readonly store: SharedKind
  readonly refused: Latency
  /** A request and its answer between the same two processes in the same run. */
  readonly bare: Latency
  /** Answers that still knew somebody after `revoke()` had resolved. */
  readonly servedAfter: number
  /** Requests a second of the load meanwhile; the median. */
  readonly loadPerSecond: number
}

const LOAD = { connections: 32, warmMs: 0, ms: 1000 }

/**
 * A server with a near cache on its core, under the load of 32 connections; a second process with a near cache, on the
 * load's core, that makes sessions, has the server read them, ends them, and asks for them.
 *
 * @param people who are signed in, and whose requests are the load
 */
export async function measureRevocation(
  store: SharedKind,
  revocations: number,
  cores: Cores,
  people = PEOPLE,
): Promise<Revocation> {
  const subject = [`express-coatcheck-${store}-near`, String(people)]
  const server = await Child.start<ServerReady>('server.ts', subject, cores.server)
  const { child: load } = await Child.start('load.ts', [], cores.load)
  const { child: revoker } = await Child.start('revoker.ts', [store], cores.load)
  const slice: SliceQuestion = { ...server.ready, ...LOAD }
  try {
    // For the compiler.
    await load.ask<SliceResult>({ ...slice, ms: 2 * LOAD.ms })
    const question: RevocationQuestion = { port: server.ready.port, revocations }
    let running = true
    const revoking = revoker.ask<RevocationResult>(question).finally(() => {
      running = false
    })
    const loading = async () => {
      const rates: number[] = []
      while (running) rates.push(perSecond(await load.ask<SliceResult>(slice)))
      return rates
    }
    const [{ refusedMs, bareMs, servedAfter }, rates] = await Promise.all([revoking, loading()])
    return { store, refused: latencyOf(refusedMs), bare: latencyOf(bareMs), servedAfter, loadPerSecond: median(rates) }
  } finally {
    for (const child of [revoker, load, server.child]) await child.stop()
  }
}

function perSecond({ requests, seconds, wrong }: SliceResult): number {
  if (wrong === undefined) return requests / seconds
  throw new Error(`The server under revocation answered wrongly: ${wrong}`)
}
