import type { Session } from 'coatcheck'
import { requireFresh, requireRole } from 'coatcheck/express'
import { type Request, type Response, Router } from 'express'
import type { Context } from '../app.ts'
import { frameOf } from '../frame.ts'
import { ifListed } from '../listing.ts'
import { type Answers, answer } from '../negotiation.ts'
import { type AdminFacts, adminPage, EVERYONE } from '../pages/admin.ts'
import { Refusal } from '../refusals.ts'
import type { User } from '../users.ts'
import { signedInUser } from './signed-in-user.ts'

const PAGE_SIZE = 50

/** What an administrator can do about other people. */
export function adminRoutes({ users, sessions, auth, freshFor, say }: Context): Router {
  const router = Router()
  const admins = requireRole('admin', { role: roleOf, loginPath: '/login', answer: say })
  const fresh = requireFresh(freshFor, { answer: say })
  router.use(['/admin', '/users'], admins, (req, res, next) => (req.method === 'GET' ? next() : fresh(req, res, next)))

  router.get('/admin', async (req, res) => {
    const facts = await readFacts(req)
    const rows = facts.rows.map(({ user, sessions }) => ({ ...publicFacts(user), sessions: sessions ?? null }))
    answer(req, res, { json: { users: rows, next: facts.next }, page: () => adminPage(frameOf(req, users), facts) })
  })

  router.post('/admin/users/:id/revoke-sessions', async (req, res) => {
    const user = users.byId(req.params.id)
    if (user === undefined) throw new Refusal(404, 'Not found')
    const revoked = await sessions.revokeUser(user.id)
    if (user.id === req.session.userId) return leave(req, res, { json: { ok: true, revoked }, goTo: '/login?ended' })
    answer(req, res, { json: { ok: true, revoked }, goTo: '/admin', notice: `${counted(revoked)} of ${user.email} ended.` })
  })

  router.post('/admin/users/:id/disable', async (req, res) => {
    const user = users.byId(req.params.id)
    if (user === undefined) throw new Refusal(404, 'Not found')
    if (user.id === req.session.userId) throw new Refusal(409, 'You cannot disable your own account.')
    await auth.disable(user.id)
    answer(req, res, { json: { ok: true }, goTo: '/admin', notice: `${user.email} may no longer sign in.` })
  })

  router.post('/admin/users/:id/enable', async (req, res) => {
    const user = users.byId(req.params.id)
    if (user === undefined) throw new Refusal(404, 'Not found')
    await auth.enable(user.id)
    answer(req, res, { json: { ok: true }, goTo: '/admin', notice: `${user.email} may sign in again.` })
  })

  router.post('/admin/revoke-everyone', async (req, res) => {
    if (req.is('urlencoded') && !isConfirmed(req.body)) return askAgain(req, res)
    await sessions.revokeEveryone()
    await leave(req, res, { json: { ok: true }, goTo: '/login?everyone' })
  })

  router.delete('/users/:id', deleteUser)
  router.post('/users/:id/delete', deleteUser)

  /** The account goes first: who signs in from then on finds none, and who is about to is refused by the revocation. */
  async function deleteUser(req: Request<{ id: string }>, res: Response): Promise<void> {
    const { id } = req.params
    const admin = await signedInUser(req.session, users)
    if (id === admin.id) throw new Refusal(409, 'You cannot delete your own account here. Ask another administrator.')
    const email = users.byId(id)?.email
    const removed = users.remove(id)
    // Also where the account is gone: an earlier try may have met an outage between the two.
    const revoked = await sessions.revokeUser(id)
    if (!removed && revoked === 0) throw new Refusal(404, 'Not found')
    answer(req, res, { json: { ok: true, revoked }, goTo: '/admin', notice: `${email ?? 'The account'} has been deleted.` })
  }

  /** The account's, not the session's: a demotion counts at once. */
  async function roleOf(session: Session): Promise<string | undefined> {
    const { role, disabled } = await signedInUser(session, users)
    return disabled ? undefined : role
  }

  async function askAgain(req: Request, res: Response): Promise<void> {
    const error = `Type “${EVERYONE}” to confirm.`
    const facts = await readFacts(req)
    const json = { error, fields: { confirm: error } }
    answer(req, res, { status: 400, json, page: () => adminPage(frameOf(req, users), { ...facts, problem: error }) })
  }

  async function readFacts(req: Request): Promise<AdminFacts> {
    const admin = await signedInUser(req.session, users)
    const search = text(req.query.q)
    const { users: found, next } = users.page({ after: text(req.query.after), search, limit: PAGE_SIZE })
    const rows = await Promise.all(
      found.map(async user => ({ user, sessions: (await ifListed(sessions.list(user.id)))?.length })),
    )
    return { admin, rows, next, search }
  }

  return router
}

/** The administrator's own session was among those that ended: this takes its cookie away too. */
async function leave(req: Request, res: Response, answers: Answers): Promise<void> {
  await req.session.logout()
  answer(req, res, answers)
}

function isConfirmed(body: unknown): boolean {
  const { confirm } = body as { confirm?: unknown }
  return typeof confirm === 'string' && confirm.trim().toLowerCase() === EVERYONE
}

function counted(sessions: number): string {
  return sessions === 1 ? 'One session' : `${sessions} sessions`
}

function publicFacts({ id, email, role, disabled, createdAt }: User): object {
  return { id, email, role, disabled, createdAt }
}

/** A query parameter may come twice, or not at all. */
function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
