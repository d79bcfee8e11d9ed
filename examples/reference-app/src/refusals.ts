import { STATUS_CODES } from 'node:http'
import { isCoatcheckError, safeReturnPath } from 'coatcheck'
import { type Answer, answerTo } from 'coatcheck/express'
import type { ErrorRequestHandler, Request, RequestHandler } from 'express'
import { frameOf } from './frame.ts'
import { wantsPage } from './negotiation.ts'
import { errorPage } from './pages/error.ts'
import type { Frame } from './pages/layout.ts'
import type { Users } from './users.ts'

/** A request that the app itself turns down. The message is for its client. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** Says what stands in the way of a request: to Express, and to Coatcheck's middleware and guards. */
export type SayError = (error: unknown, req: Request) => Answer

/** What a browser without a sign-in is told that tried to change something. */
const SIGNED_OUT_PATH = '/login?ended'

/**
 * One answer to each error: JSON for programs, a page for browsers. Nothing of a failure's inside is told (ASVS 5.0
 * 16.5.1).
 */
export function sayErrors(users: Users): SayError {
  return (error, req) => {
    const said = isCoatcheckError(error) ? answerTo(error) : ownAnswer(error)
    if (!wantsPage(req)) return said
    if (said.status === 401 && isCoatcheckError(error) && error.code === 'NOT_AUTHENTICATED') return signedOut
    if (isCoatcheckError(error) && error.code === 'REAUTH_REQUIRED') return confirmFirst(req)
    return pageOf(said, error, frameFor(req, said.status, users))
  }
}

const signedOut: Answer = { status: 303, headers: { Location: SIGNED_OUT_PATH, 'Cache-Control': 'no-store' }, body: '' }

/** A form was sent: afterwards the person is back on the page that held it. */
function confirmFirst(req: Request): Answer {
  const from = URL.parse(req.get('referer') ?? '')
  const path = from?.host === req.host ? safeReturnPath(from.pathname + from.search, '/dashboard') : '/dashboard'
  const Location = `/account/confirm?returnTo=${encodeURIComponent(path)}`
  return { status: 303, headers: { Location, 'Cache-Control': 'no-store' }, body: '' }
}

/** What body-parser and Express say with an error's `type` or `status`, and what we say with a `Refusal`. */
function ownAnswer(error: unknown): Answer {
  const { status, message } = error instanceof Refusal ? error : clientError(error)
  return {
    status,
    headers: { 'Content-Type': 'application/json; charset=utf-8', 'Cache-Control': 'no-store' },
    body: JSON.stringify({ error: message }),
  }
}

const wordsByType: Readonly<Record<string, string>> = {
  'entity.parse.failed': 'Malformed JSON',
  'entity.too.large': 'Request body too large',
}

function clientError(error: unknown): { status: number; message: string } {
  const { status, type } = error as { status?: unknown; type?: unknown }
  if (typeof status !== 'number' || status < 400 || status > 499) return { status: 500, message: 'Internal server error' }
  return { status, message: wordsByType[String(type)] ?? STATUS_CODES[status] ?? 'Bad request' }
}

function pageOf({ status, headers }: Answer, error: unknown, frame: Frame): Answer {
  const text = error instanceof Refusal && status !== 404 ? error.message : undefined
  return {
    status,
    headers: { ...headers, 'Content-Type': 'text/html; charset=utf-8' },
    body: errorPage(frame, status, text),
  }
}

/** A page about an outage names nobody: the session cannot be read. */
function frameFor(req: Request, status: number, users: Users): Frame {
  const session: unknown = req.session
  return status >= 500 || session === undefined ? {} : frameOf(req, users)
}

/** The end of the line: no route took the request. */
export const nothingHere: RequestHandler = (_req, _res, next) => next(new Refusal(404, 'Not found'))

/** Sends the error's answer, and logs what is ours to mend. */
export function errorHandler(say: SayError): ErrorRequestHandler {
  return (error, req, res, next) => {
    if (res.headersSent) return next(error)
    const { status, headers, body } = say(error, req)
    if (status >= 500) console.error(error)
    res.status(status).set(headers).vary('Accept').end(body)
  }
}
