import { validateHeaderName, validateHeaderValue } from 'node:http'
import { entriesOf, type HeadCall } from './head.ts'
import { isHttp2, type NodeResponse } from './node-response.ts'

/*
 * A call that is only noted down must fail at once where node's own would: the handler's error handling stands around
 * the call, not around the moment when it is made up for. These are node's codes, in its words.
 */

/** @throws TypeError for what `write` does not take */
export function assertChunk(chunk: unknown): void {
  if (typeof chunk === 'string' || chunk instanceof Uint8Array) return
  if (chunk === null) throw refusal(TypeError, 'ERR_STREAM_NULL_VALUES', 'May not write null values to stream')
  const text = `The "chunk" argument must be of type string or an instance of Buffer or Uint8Array. Received ${typeof chunk}`
  throw refusal(TypeError, 'ERR_INVALID_ARG_TYPE', text)
}

/** @throws TypeError for what `end` does not take as its last chunk; nothing, and a callback, are taken */
export function assertLastChunk(chunk: unknown): void {
  if (chunk && typeof chunk !== 'function') assertChunk(chunk)
}

/** @throws RangeError for a status that cannot be sent */
export function assertStatus(response: NodeResponse, status: number): void {
  const http2 = isHttp2(response)
  const whole = Math.trunc(status)
  if (whole >= (http2 ? 200 : 100) && whole <= (http2 ? 599 : 999)) return
  throw refusal(RangeError, http2 ? 'ERR_HTTP2_STATUS_INVALID' : 'ERR_HTTP_INVALID_STATUS_CODE', `Invalid status code: ${status}`)
}

/**
 * The call with a copy of its headers, which the handler may use again.
 *
 * @throws TypeError where node would refuse words, names or values
 */
export function checkedHead(response: NodeResponse, call: HeadCall): HeadCall {
  if (call.reason !== undefined) validateHeaderValue('statusMessage', call.reason)
  if (call.headers === undefined) return call
  refusePairsOverOthers(response, call.headers)
  for (const [name, value] of entriesOf(call.headers) ?? refuseHeaders()) {
    if (name) validateHeaderName(name)
    if (name) validateHeaderValue(name, value as string)
  }
  return { ...call, headers: Array.isArray(call.headers) ? [...call.headers] : { ...call.headers } }
}

/** Over a header that was set before, HTTP/1.1 takes a flat array only. */
function refusePairsOverOthers(response: NodeResponse, headers: object): void {
  if (isHttp2(response) || !Array.isArray(headers) || !Array.isArray(headers[0]) || response.getHeaderNames().length === 0) return
  if (headers.length % 2 !== 0) refuseHeaders()
  throw refusal(TypeError, 'ERR_INVALID_ARG_TYPE', 'The "name" argument must be of type string. Received an instance of Array')
}

function refuseHeaders(): never {
  throw refusal(TypeError, 'ERR_INVALID_ARG_VALUE', "The argument 'headers' is invalid: it is no list of names and values")
}

/** What node throws at headers that come after the head. */
export function headersSentError(response: NodeResponse, verb: string): Error {
  if (isHttp2(response)) return refusal(Error, 'ERR_HTTP2_HEADERS_SENT', 'Response has already been initiated.')
  return refusal(Error, 'ERR_HTTP_HEADERS_SENT', `Cannot ${verb} headers after they are sent to the client`)
}

function refusal(kind: new (message: string) => Error, code: string, message: string): Error {
  return Object.assign(new kind(message), { code })
}
