import { isPromise } from '../core/engine.ts'
import type { Exchange, Outgoing } from '../core/exchange.ts'
import type { Answer } from '../core/guard.ts'
import type { MaybePromise } from '../core/store.ts'
import { PERSONAL, varyWithCookie } from './head.ts'
import { isPolicy } from './policy-headers.ts'

/** Where errors go that the handler no longer hears of. */
export interface Failing {
  /** What is sent instead of the handler's response, because the session could not be saved. */
  refuse(error: unknown): Response
  /** Told of a change that could not be saved and came too late to be answered. */
  tooLate(error: unknown): void
}

/** An answer of ours as a Response. */
export function responseOf({ status, headers, body }: Answer): Response {
  return new Response(body === '' ? null : body, { status, headers: { ...headers } })
}

/**
 * Saves the session, and gives the response that may leave then (law 4): the handler's with the session's headers, or
 * the refusal, in which nothing of the handler's is left but who may read it. Where nothing has to be saved it does not wait.
 *
 * A response that streams comes back with a body that calls `finish` before its end.
 */
export function withSession(response: Response, exchange: Exchange, failing: Failing): MaybePromise<Response> {
  const committed = commit(response, exchange, failing)
  if (isPromise(committed)) return committed.then(done => withFinish(done, exchange, failing))
  return withFinish(committed, exchange, failing)
}

/** As `withSession`, where the end of a stream is taken care of already. */
export function commit(response: Response, exchange: Exchange, failing: Failing): MaybePromise<Response> {
  try {
    const outgoing = exchange.commit()
    if (!isPromise(outgoing)) return withHeaders(response, outgoing)
    return outgoing.then(
      saved => withHeaders(response, saved),
      (error: unknown) => replaced(response, error, exchange, failing),
    )
  } catch (error) {
    return replaced(response, error, exchange, failing)
  }
}

function replaced(response: Response, error: unknown, exchange: Exchange, failing: Failing): Response {
  // Who writes to a stream that nobody will read is told so.
  response.body?.cancel(error).catch(() => {})
  const answer = keepPolicy(response, failing.refuse(error))
  for (const cookie of exchange.owed) answer.headers.append('Set-Cookie', cookie)
  return answer
}

/** A copy of the answer that replaces this response, with the headers that are not about what it says. */
export function keepPolicy({ headers }: Response, answer: Response): Response {
  const copy = copyOf(answer)
  for (const [name, value] of headers) if (isPolicy(name) && !copy.headers.has(name)) copy.headers.set(name, value)
  return copy
}

/**
 * The response with what the session adds to its headers.
 *
 * A cookie goes into a copy: a `Response` that was made once and answers everybody would hand this person's token to all
 * who come after. Headers that cannot be changed (of `fetch`, of `Response.redirect`) are copied too.
 */
export function withHeaders(response: Response, outgoing: Outgoing): Response {
  if (!outgoing.varies) return response
  if (outgoing.setCookie.length > 0) return addTo(copyOf(response), outgoing)
  try {
    return addTo(response, outgoing)
  } catch {
    return addTo(copyOf(response), outgoing)
  }
}

function copyOf(response: Response): Response {
  return new Response(response.body, response)
}

function addTo(response: Response, { setCookie, personal }: Outgoing): Response {
  const { headers } = response
  for (const cookie of setCookie) headers.append('Set-Cookie', cookie)
  const vary = varyWithCookie(headers.get('Vary') ?? undefined)
  if (vary !== undefined) headers.set('Vary', vary)
  if (personal && !headers.has('Cache-Control')) headers.set('Cache-Control', PERSONAL)
  return response
}

function withFinish(response: Response, exchange: Exchange, failing: Failing): Response {
  if (!isStreaming(response) || response.body === null) return response
  return new Response(finishing(response.body, exchange, failing), response)
}

/** True for a response whose head says that it goes on for a while. The body is not looked at: on node that costs. */
function isStreaming({ headers }: Response): boolean {
  return headers.has('Transfer-Encoding') || headers.get('Content-Type')?.startsWith('text/event-stream') === true
}

/** The last part of an exchange. */
type Finishing = Pick<Exchange, 'finish'>
type TooLate = Pick<Failing, 'tooLate'>

/**
 * The stream with a call of `finish` before its end, so that what its writer changed in the session is saved when the
 * reader has the last byte. If that fails the stream ends as it stands: its head left long since.
 */
export function finishing<Chunk>(body: ReadableStream<Chunk>, exchange: Finishing, failing: TooLate): ReadableStream<Chunk> {
  const reader = body.getReader()
  return new ReadableStream<Chunk>(
    {
      async pull(controller) {
        const { done, value } = await reader.read()
        if (!done) return controller.enqueue(value)
        await finish(exchange, failing)
        controller.close()
      },
      async cancel(reason) {
        await reader.cancel(reason).finally(() => finish(exchange, failing))
      },
    },
    // Nothing is read ahead: the writer feels its reader's pace as it did without us.
    { highWaterMark: 0 },
  )
}

/** Calls `finish`; what that throws was too late. */
export async function finish(exchange: Finishing, failing: TooLate): Promise<void> {
  try {
    await exchange.finish()
  } catch (error) {
    failing.tooLate(error)
  }
}
