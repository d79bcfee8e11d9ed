import type { Duplex } from 'node:stream'
import type { NodeResponse } from './node-response.ts'

interface Gate {
  /** How many responses of this connection are being held: pipelined requests share one. */
  holds: number
  wanted: boolean
  readonly hadOwn: boolean
  readonly destroy: Duplex['destroy']
}

const GATE = Symbol('coatcheck.gate')

type Gated = Duplex & { [GATE]?: Gate }

/**
 * What the response's bytes travel on: HTTP/2's stream, or HTTP/1.1's socket. Undefined where there is none: what runs
 * node's handlers without a server (a cloud function, a test) brings objects that only look like one.
 */
export function connectionOf(response: NodeResponse): Duplex | undefined {
  const connection = response.stream ?? response.req?.socket
  return typeof connection?.destroy === 'function' ? connection : undefined
}

/**
 * From now on `destroy()` of the connection waits for `letClose`.
 *
 * Express' last error handler destroys the socket where it finds `headersSent`: after a held answer that would lose what
 * the client had long received without us. A connection that failed (with an error), or that the client left, is
 * destroyed at once.
 */
export function keepOpen(connection: Duplex | undefined): void {
  if (connection === undefined) return
  const gated: Gated = connection
  const gate = gated[GATE]
  if (gate !== undefined && gate.holds > 0) {
    gate.holds++
    return
  }
  gated[GATE] = { holds: 1, wanted: false, hadOwn: Object.hasOwn(gated, 'destroy'), destroy: gated.destroy }
  gated.destroy = destroyLater
}

/** Ends one `keepOpen`; a `destroy()` that came meanwhile follows once what was just written has been handed over. */
export function letClose(connection: Duplex | undefined): void {
  if (connection === undefined) return
  const gated: Gated = connection
  const gate = gated[GATE]
  if (gate === undefined || --gate.holds > 0) return
  if (gated.destroy === destroyLater) restore(gated, gate)
  if (gate.wanted) setImmediate(() => connection.destroy())
}

function restore(gated: Gated, gate: Gate): void {
  if (gate.hadOwn) gated.destroy = gate.destroy
  else Reflect.deleteProperty(gated, 'destroy')
}

function destroyLater(this: Gated, error?: Error): Duplex {
  const gate = this[GATE]
  if (gate === undefined) return this
  if (gate.holds === 0 || error !== undefined || isOver(this)) return gate.destroy.call(this, error)
  gate.wanted = true
  return this
}

function isOver(connection: Duplex): boolean {
  return connection.closed || connection.writableEnded
}
