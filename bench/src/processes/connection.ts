import { once } from 'node:events'
import { connect } from 'node:net'

/** A connection that is kept, with one request at a time on it. */
export interface Connection {
  /** The whole answer, as it came over the wire. */
  ask(request: string | Buffer): Promise<string>
  close(): void
}

/** Connects to a port of this machine. */
export async function openConnection(port: number): Promise<Connection> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let waiting: PromiseWithResolvers<string> | undefined
  let text = ''
  const fail = (error: Error) => waiting?.reject(error)
  socket.on('error', fail)
  socket.on('close', () => fail(new Error(`The connection closed after: ${text}`)))
  socket.on('data', data => {
    text += data.toString('latin1')
    if (isWhole(text)) waiting?.resolve(text)
  })
  await once(socket, 'connect')
  return {
    ask(request) {
      text = ''
      waiting = Promise.withResolvers()
      socket.write(request)
      return waiting.promise
    },
    close: () => socket.destroy(),
  }
}

/** The bytes of a signed-in person's request. */
export function getRequest(port: number, path: string, cookie: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept: application/json\r\nCookie: ${cookie}\r\n\r\n`
}

function isWhole(text: string): boolean {
  const end = text.indexOf('\r\n\r\n')
  if (end === -1) return false
  const [, length] = /^content-length: (\d+)$/im.exec(text.slice(0, end)) ?? []
  if (length === undefined) throw new Error(`An answer without Content-Length: ${text}`)
  return text.length >= end + 4 + Number(length)
}
