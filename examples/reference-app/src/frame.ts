import { csrfToken } from 'coatcheck/express'
import type { Request } from 'express'
import type { Frame } from './pages/layout.ts'
import type { Users } from './users.ts'

declare module 'coatcheck' {
  interface SessionData {
    /** A sentence for the next page that this person sees. */
    notice: string
  }
}

/** What each page shows of the person who reads it. The notice is taken out of the session: it is said once. */
export function frameOf(req: Request, users: Users): Frame {
  const { userId, notice } = req.session
  if (notice !== undefined) delete req.session.notice
  if (userId === undefined) return { notice }
  return { user: users.byId(userId), notice, csrf: csrfToken(req.session) }
}

/**
 * Of a page with a form that visitors send, too. A browser that does not say of its requests where they come from needs a
 * token, and a cookie with it; all others get none (law 10).
 */
export function formFrameOf(req: Request, users: Users): Frame {
  const frame = frameOf(req, users)
  if (frame.csrf !== undefined || req.get('sec-fetch-site') !== undefined) return frame
  return { ...frame, csrf: csrfToken(req.session) }
}
