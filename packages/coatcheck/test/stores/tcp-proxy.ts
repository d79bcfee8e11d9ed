import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** What a proxy does to the bytes that come from the server. */
export interface TcpProxy {
  readonly url: string
  /** Holds answers back for so many milliseconds. */
  delayMs: number
  /** Holds back what the server says from now on, on every connection. */
  hold(): HeldAnswers
  /** True: nothing is passed on in either direction, and nothing is closed: packets dropped. */
  silent: boolean
  /** The next answer on each connection is cut after its first half, and the connection destroyed. */
  cutNextAnswers(): void
  /** How many were cut so far. */
  cuts: number
  close(): Promise<void>
}

/** What a proxy holds back. */
interface HeldAnswers {
  /** How many pieces have come. */
  readonly count: number
  /** Passes them on, and holds no more. */
  release(): void
}

/** A proxy of our own in front of a server on this machine. */
export async function startTcpProxy(port: number): Promise<TcpProxy> {
  const pairs = new Set<readonly [Socket, Socket]>()
  const toCut = new Set<Socket>()
  let held: (() => void)[] | undefined
  const server = createServer(client => {
    const upstream = connect(port, '127.0.0.1')
    const pair = [client, upstream] as const
    pairs.add(pair)
    const end = () => {
      pairs.delete(pair)
      for (const socket of pair) socket.destroy()
    }
    for (const socket of pair) socket.setNoDelay().on('error', end)
    client.on('close', end)
    // What is held back comes before the end.
    upstream.on('close', () => (held ? held.push(() => client.end(end)) : end()))
    client.on('data', bytes => proxy.silent || upstream.write(bytes))
    upstream.on('data', bytes => {
      if (proxy.silent) return
      if (toCut.delete(client)) {
        proxy.cuts++
        return void client.write(bytes.subarray(0, Math.ceil(bytes.length / 2)), end)
      }
      if (held) held.push(() => client.write(bytes))
      else if (proxy.delayMs === 0) client.write(bytes)
      else setTimeout(() => client.write(bytes), proxy.delayMs)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const proxy: TcpProxy = {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    delayMs: 0,
    silent: false,
    hold() {
      const pieces: (() => void)[] = []
      held = pieces
      const release = () => {
        held = undefined
        for (const pass of pieces.splice(0)) pass()
      }
      return {
        get count() {
          return pieces.length
        },
        release,
      }
    },
    cuts: 0,
    cutNextAnswers() {
      for (const [client] of pairs) toCut.add(client)
    },
    async close() {
      server.close()
      for (const pair of pairs) for (const socket of pair) socket.destroy()
    },
  }
  return proxy
}
