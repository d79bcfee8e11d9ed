import type { Invalid, Throttled } from '@coatcheck/auth'
import type { Request, Response } from 'express'

/** The two ways of saying one thing. */
export interface Answers {
  /** 200 unless given. */
  readonly status?: number
  /** For programs. */
  readonly json: object
  /** For browsers: a page, made only if it is wanted, … */
  readonly page?: () => string
  /** … or where to go next, … */
  readonly goTo?: string
  /** … and what to say there. */
  readonly notice?: string
}

/**
 * True for a browser, which names HTML in `Accept`. A program that takes anything gets JSON, unless it sends a form: then
 * it acts for a browser.
 */
export function wantsPage(req: Request): boolean {
  const accept = req.get('accept') ?? ''
  if (/html|json/i.test(accept)) return req.accepts(['json', 'html']) === 'html'
  return req.is('urlencoded') === 'urlencoded'
}

/** Answers the request in the way that its client reads. */
export function answer(req: Request, res: Response, { status = 200, json, page, goTo, notice }: Answers): void {
  res.vary('Accept')
  if (!wantsPage(req)) res.status(status).json(json)
  else if (goTo === undefined) sendPage(res, status, page?.() ?? '')
  else leadOn(req, res, goTo, notice)
}

function leadOn(req: Request, res: Response, goTo: string, notice: string | undefined): void {
  if (notice !== undefined) req.session.notice = notice
  res.redirect(303, goTo)
}

/** Sends a page. */
export function sendPage(res: Response, status: number, page: string): void {
  res.status(status).type('html').send(page)
}

/** What a failed proof is told, the same whoever was meant: 401, or 429 with `Retry-After`. */
export function refusalOf(res: Response, result: Invalid | Throttled): [status: number, problem: { readonly error: string }] {
  if (result.reason === 'invalid') return [401, { error: 'Invalid credentials' }]
  res.set('Retry-After', String(result.retryAfter))
  return [429, { error: 'Too many tries. Please wait a while.' }]
}
