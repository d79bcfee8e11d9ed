import { safeReturnPath } from 'coatcheck'
import { type Request, type Response, Router } from 'express'
import type { Context } from '../app.ts'
import { proveCredentials } from '../credentials.ts'
import { frameOf } from '../frame.ts'
import { readInput, signInInput } from '../input.ts'
import { answer, sendPage } from '../negotiation.ts'
import type { FormState } from '../pages/fields.ts'
import { signInPage } from '../pages/sign-in.ts'

/** What the way here may say, in an address that anyone can write: so only words of ours. */
const notices: Readonly<Record<string, string>> = {
  'signed-out': 'You have signed out.',
  ended: 'You are signed out. Please sign in again.',
  everyone: 'Everybody has been signed out, you too.',
}

const INCOMPLETE = 'Please check what you entered.'

export function signInRoutes({ users, sessions }: Context): Router {
  const router = Router()

  router.get('/login', (req, res) => {
    const { returnTo } = req.query
    if (req.session.userId !== undefined) return res.redirect(303, safeReturnPath(returnTo, '/dashboard'))
    const notice = Object.keys(notices).find(name => name in req.query)
    sendPage(res, 200, signInPage({ notice: notice && notices[notice] }, { values: { returnTo } }))
  })

  router.post('/login', async (req, res) => {
    const input = readInput(signInInput, req.body)
    if (!input.ok) return refuse(req, res, 400, { error: INCOMPLETE, fields: input.fields })
    const proven = await proveCredentials({ users, sessions }, input.value)
    if (proven === undefined) return refuse(req, res, 401, { error: 'Invalid credentials' })
    const { user, attempt } = proven
    await req.session.login(user.id, { remember: input.value.remember, attempt })
    req.session.role = user.role
    answer(req, res, { json: { ok: true, userId: user.id }, goTo: safeReturnPath(input.value.returnTo, '/dashboard') })
  })

  router.post('/logout', async (req, res) => {
    await req.session.logout()
    answer(req, res, { json: { ok: true }, goTo: '/login?signed-out' })
  })

  function refuse(req: Request, res: Response, status: number, problem: FormState): void {
    const error = status === 401 ? 'The e-mail address or the password is wrong.' : problem.error
    const page = () => signInPage(frameOf(req, users), { ...problem, error, values: req.body ?? {} })
    answer(req, res, { status, json: problem, page })
  }

  return router
}
