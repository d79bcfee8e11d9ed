import { createServer, type RequestListener } from 'node:http'
import http2 from 'node:http2'
import { type AddressInfo, connect } from 'node:net'

export interface Asked {
  readonly method?: string
  readonly path?: string
  readonly version?: '1.0' | '1.1'
  readonly headers?: Readonly<Record<string, string>>
}

/** A server, and a client that tells all that came over the wire. */
export interface Wire {
  readonly port: number
  /** One request on a connection of its own, until that is closed. */
  ask(asked: Asked): Promise<Reply>
  close(): Promise<void>
}

/** What one client saw. `text` is every byte but the date; `body` and `headers` are the same taken apart. */
export interface Reply {
  readonly text: string
  /** True if the connection or stream ended before the response was whole. */
  readonly broken: boolean
}

export async function http1Wire(listener: RequestListener): Promise<Wire> {
  const server = createServer({ keepAliveTimeout: 0 }, listener)
  const port = await listening(server)
  return { port, ask: asked => askHttp1(port, asked), close: () => closed(server) }
}

export async function http2Wire(listener: Parameters<typeof http2.createServer>[1]): Promise<Wire> {
  const server = http2.createServer(listener)
  const port = await listening(server)
  return { port, ask: asked => askHttp2(port, asked), close: () => closed(server) }
}

/** What all of node's servers can. */
export interface Listener {
  listen(port: number, host: string, then: () => void): unknown
  address(): AddressInfo | string | null
  close(then: () => void): unknown
}

/** Listens on a free port, and says which. */
export function listening(server: Listener): Promise<number> {
  return new Promise(resolve => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)))
}

export function closed(server: Listener): Promise<void> {
  return new Promise(resolve => server.close(() => resolve()))
}

function askHttp1(port: number, { method = 'GET', path = '/', version = '1.1', headers = {} }: Asked): Promise<Reply> {
  const lines = Object.entries({ Host: 'localhost', Connection: 'close', ...headers }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  )
  return exchangeBytes(port, `${method} ${path} HTTP/${version}\r\n${lines.join('')}\r\n`)
}

/** Sends these bytes, and gives what came back until the connection closed. */
export function exchangeBytes(port: number, bytes: string): Promise<Reply> {
  return new Promise(resolve => {
    const parts: Buffer[] = []
    let broken = true
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    socket.on('data', part => parts.push(part))
    socket.on('end', () => {
      broken = false
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve({ text: undated(Buffer.concat(parts).toString('latin1')), broken }))
  })
}

/**
 * One HTTP/1.1 response with its chunks put together: where one ends and the next begins means nothing (RFC 9112 §7.1),
 * and Node 26 joins those of one turn. What is left when the last chunk is missing shows.
 */
export function unchunked(text: string): string {
  const end = text.indexOf('\r\n\r\n') + 4
  const [head, rest] = [text.slice(0, end), text.slice(end)]
  return /^transfer-encoding: chunked\r$/im.test(head) ? head + joinedChunks(rest) : text
}

function joinedChunks(rest: string): string {
  let body = ''
  let at = 0
  for (;;) {
    const line = rest.indexOf('\r\n', at)
    const size = Number.parseInt(rest.slice(at, line), 16)
    if (line === -1 || Number.isNaN(size)) return `${body}(broken off)${rest.slice(at)}`
    if (size === 0) return `${body}(end)${rest.slice(line)}`
    body += rest.slice(line + 2, line + 2 + size)
    at = line + 2 + size + 2
  }
}

function undated(text: string): string {
  return text.replaceAll(/\r\nDate: [^\r]*/g, '\r\nDate: …')
}

function askHttp2(port: number, { method = 'GET', path = '/', headers = {} }: Asked): Promise<Reply> {
  return new Promise(resolve => {
    const client = http2.connect(`http://127.0.0.1:${port}`)
    const lines: string[] = []
    const parts: Buffer[] = []
    client.on('error', () => {})
    const stream = client.request({ ':method': method, ':path': path, ...headers })
    stream.on('headers', head => lines.push(...linesOf(head), '(informational)'))
    stream.on('response', head => lines.push(...linesOf(head)))
    stream.on('trailers', head => lines.push('(trailers)', ...linesOf(head)))
    stream.on('data', part => parts.push(part))
    stream.on('error', () => {})
    stream.on('close', () => {
      client.close()
      const text = `${lines.join('\r\n')}\r\n\r\n${Buffer.concat(parts).toString('latin1')}`
      resolve({ text, broken: stream.rstCode !== 0 })
    })
    stream.end()
  })
}

function linesOf(head: http2.IncomingHttpHeaders): string[] {
  return Object.entries(head).flatMap(([name, value]) => [value].flat().map(one => `${name}: ${name === 'date' ? '…' : one}`))
}
