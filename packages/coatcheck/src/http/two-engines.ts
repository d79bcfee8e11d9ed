import { CoatcheckError } from '../core/errors.ts'
import type { Sessions } from '../core/sessions.ts'

/**
 * Refuses an engine beside another one of the same request, where they could not work side by side.
 *
 * @throws CoatcheckError `NO_SESSION` for one that is here already, under another name; `BAD_OPTION` for two that set
 *   cookies of the same name: each would sign the other's people out
 */
export function refuseBeside(here: Sessions, name: string, sessions: Sessions): void {
  if (here === sessions) {
    throw new CoatcheckError(
      'NO_SESSION',
      `This createSessions() is mounted already, as '${name}'. One request has one session of it: use that name, or mount a second createSessions().`,
    )
  }
  const cookie = here.sharedCookie(sessions)
  if (cookie === undefined) return
  throw new CoatcheckError(
    'BAD_OPTION',
    `Two createSessions() of this app both set the cookie '${cookie}', and would sign each other's people out. ` +
      `Give one of them names of its own: createSessions({ cookie: { name: 'staff', visitName: 'staff-visit' } }).`,
  )
}
