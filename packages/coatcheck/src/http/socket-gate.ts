import type { Duplex } from 'node:stream'
import type { NodeResponse } from './node-response.ts'

interface Gate {
  /** How many responses of this connection are being held: pipelined requests share one. */
  holds: number
  wanted: boolean
}

/** In no property of the connection: its shape is what node's compiled code of every request goes by. */
const gates = new WeakMap<Duplex, Gate>()

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
  const gate = gates.get(connection) ?? fitGate(connection)
  gate.holds++
}

/** Ends one `keepOpen`; a `destroy()` that came meanwhile follows once what was just written has been handed over. */
export function letClose(connection: Duplex | undefined): void {
  const gate = connection && gates.get(connection)
  if (gate === undefined || --gate.holds > 0 || !gate.wanted) return
  gate.wanted = false
  setImmediate(() => connection?.destroy())
}

function fitGate(connection: Duplex): Gate {
  const gate = { holds: 0, wanted: false }
  gates.set(connection, gate)
  if (Object.hasOwn(connection, 'destroy')) connection.destroy = destroyLater(connection.destroy)
  else Object.setPrototypeOf(connection, gatedLike(Object.getPrototypeOf(connection)))
  return gate
}

/** Prototypes of ours between a connection and node's own. */
const between = new WeakMap<object, object>()

/**
 * The method stands on a prototype, where it stays. Put on each connection and deleted again it makes a slow object of
 * it, and after a few dozen of them every request of the process costs some two microseconds more, for good.
 */
function gatedLike(parent: Duplex): object {
  const known = between.get(parent)
  if (known !== undefined) return known
  const gated: Duplex = Object.create(parent)
  Object.defineProperty(gated, 'destroy', { value: destroyLater(parent.destroy), writable: true, configurable: true })
  between.set(parent, gated)
  return gated
}

function destroyLater(destroy: Duplex['destroy']): Duplex['destroy'] {
  return function (this: Duplex, error) {
    const gate = gates.get(this)
    if (gate === undefined || gate.holds === 0 || error !== undefined || isOver(this)) return destroy.call(this, error)
    gate.wanted = true
    return this
  }
}

function isOver(connection: Duplex): boolean {
  return connection.closed || connection.writableEnded
}
