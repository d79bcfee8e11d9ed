import { CoatcheckError } from 'coatcheck'
import type { Request, RequestHandler } from 'express'

/** What the decision is made of. */
export interface OriginFacts {
  readonly method: string
  /** Sec-Fetch-Site: what a browser says of who made the request; no page can forge it. */
  readonly site: string | undefined
  readonly origin: string | undefined
  /** Scheme, host and port that the request was sent to. */
  readonly ownOrigin: string
  readonly contentType: string | undefined
}

const SAFE_METHODS: readonly string[] = ['GET', 'HEAD', 'OPTIONS']

/**
 * True if a request may change something: it comes from this very site, or from a program that no other site can steer
 * (cross-site request forgery, CWE-352; ASVS 5.0 3.5.1, 3.5.3).
 *
 * Sign-in is checked like everything else: a forged one would put the victim into the attacker's account.
 */
export function isOurs({ method, site, origin, ownOrigin, contentType }: OriginFacts): boolean {
  if (SAFE_METHODS.includes(method)) return true
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  if (origin !== undefined) return origin === ownOrigin
  // Neither header: curl, a mobile app, a very old browser. A form of another site could not send these types.
  return contentType === undefined || /^application\/json\b/i.test(contentType)
}

/** Refuses unsafe requests from other origins with 403 `CROSS_ORIGIN`. Behind a proxy it needs `trust proxy`. */
export function sameOrigin(): RequestHandler {
  return (req, _res, next) => {
    if (isOurs(factsOf(req))) return next()
    next(new CoatcheckError('CROSS_ORIGIN', `An unsafe request to ${req.path} came from another origin.`))
  }
}

function factsOf(req: Request): OriginFacts {
  return {
    method: req.method,
    site: req.get('sec-fetch-site'),
    origin: req.get('origin'),
    ownOrigin: `${req.protocol}://${req.host}`,
    contentType: req.get('content-type'),
  }
}
