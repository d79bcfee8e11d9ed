import { STATUS_CODES } from 'node:http'
import { isCoatcheckError } from '../core/errors.ts'
import type { Answer } from '../core/guard.ts'
import { isHttp2, type NodeResponse } from './node-response.ts'
import { isPolicy } from './policy-headers.ts'

/** Sends the answer, beside whatever headers are set already. A HEAD request gets the same head and no body. */
export function sendAnswer(response: NodeResponse, answer: Answer, way: Pick<NodeResponse, 'write' | 'end'> = response): void {
  response.statusCode = answer.status
  if (!isHttp2(response)) response.statusMessage = STATUS_CODES[answer.status] ?? ''
  for (const [name, value] of Object.entries(answer.headers)) response.setHeader(name, value)
  response.setHeader('Content-Length', String(Buffer.byteLength(answer.body)))
  // HTTP/2's `end(chunk)` asks the response for its `write`: that could be another middleware's, which has begun on the
  // answer that this one replaces.
  if (response.req?.method !== 'HEAD' && answer.body !== '') way.write.call(response, answer.body)
  way.end.call(response)
}

/** Takes everything back that was said of another answer: all headers but `Connection` and those that are not about it. */
export function clearHead(response: NodeResponse): void {
  for (const name of response.getHeaderNames()) if (name !== 'connection' && !isPolicy(name)) response.removeHeader(name)
  // Removing a `Date` of the handler's switched node's own off.
  response.sendDate = true
  // HTTP/2 sends trailers along with any body; HTTP/1.1 only with one of unknown length.
  response.stream?.removeAllListeners('wantTrailers')
}

/**
 * True for what somebody has to mend: the answer to it hides what it was. A refusal is for the client, and an outage has
 * an event of its own.
 */
export function isMistake(error: unknown): boolean {
  return !isCoatcheckError(error) || error.status === 500
}
