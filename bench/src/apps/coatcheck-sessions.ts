import { createSessions, type SessionStore, type Sessions } from 'coatcheck'
import { SECRET } from './data.ts'

/** Ours with its defaults; without TLS in between, so as a development server. */
export function benchSessions(store: SessionStore, nearCache = false): Sessions {
  return createSessions({ store, secret: SECRET, production: false, nearCache })
}
