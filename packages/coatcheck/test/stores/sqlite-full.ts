import { createSessions } from '../../src/core/sessions.ts'
import { sqliteStore } from '../../src/stores/sqlite.ts'
import { Browser, codeOf, facts, SECRET } from '../core/world.ts'

/**
 * Signs Ann and Bob in, fills the disk with visits until no more will go in, and tries what changes a session. Tells on stdout,
 * as one line of JSON, with what each act failed, which sessions were told to have ended, and the cookies.
 */
const sessions = createSessions({ store: sqliteStore(process.argv[2] ?? ''), secret: SECRET, production: false })
const ended: string[] = []
sessions.on('session.ended', ({ reason }) => ended.push(reason))
const [ann, bob] = [new Browser(), new Browser()]
await ann.login(sessions, 'ann')
await bob.login(sessions, 'bob')

const visit = (size: number) => () =>
  new Browser().request(sessions, ({ session }) => Object.assign(session, { fill: 'x'.repeat(size) }))
for (const size of [50_000, 5000, 1]) while ((await codeOf(visit(size))) === undefined);
// The smallest write of those that are tried.
while ((await codeOf(() => sessions.revokeUser('nobody'))) === undefined);

const id = (await sessions.open(ann.cookie, facts)).session.id as string
const acts = {
  save: () => ann.request(sessions, ({ session }) => Object.assign(session, { seen: 1 })),
  rotate: () => ann.request(sessions, ({ session }) => session.rotate()),
  'a role change': () => ann.request(sessions, ({ session }) => Object.assign(session, { role: 'admin' })),
  'step-up': () => ann.login(sessions, 'ann'),
  logout: () => ann.request(sessions, ({ session }) => session.logout()),
  revoke: () => sessions.revoke(id),
  revokeUser: () => sessions.revokeUser('ann'),
}
const codes: Record<string, string | undefined> = {}
for (const [name, act] of Object.entries(acts)) codes[name] = await codeOf(act)
console.log(JSON.stringify({ codes, ended, cookies: [ann.cookie, bob.cookie], here: await ann.whoAmI(sessions) }))
