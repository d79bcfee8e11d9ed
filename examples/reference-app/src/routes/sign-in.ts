import { safeReturnPath } from 'coatcheck'
import { type Request, type Response, Router } from 'express'
import type { Context } from '../app.ts'
import { formFrameOf } from '../frame.ts'
import { INCOMPLETE, readInput, signInInput } from '../input.ts'
import { answer, refusalOf, sendPage } from '../negotiation.ts'
import type { FormState } from '../pages/fields.ts'
import { signInPage } from '../pages/sign-in.ts'

/** What the way here may say, in an address that anyone can write: so only words of ours. */
const notices: Readonly<Record<string, string>> = {
  'signed-out': 'You have signed out.',
  ended: 'You are signed out. Please sign in again.',
  reset: 'Your password has been changed. Sign in with the new one.',
  everyone: 'Everybody has been signed out, you too.',
}

export function signInRoutes({ users, auth }: Context): Router {
  const router = Router()

  router.get('/login', (req, res) => {
    const { returnTo } = req.query
    if (req.session.userId !== undefined) return res.redirect(303, safeReturnPath(returnTo, '/dashboard'))
    const notice = Object.keys(notices).find(name => name in req.query)
    sendPage(res, 200, signInPage({ ...formFrameOf(req, users), notice: notice && notices[notice] }, { values: { returnTo } }))
  })

  router.post('/login', async (req, res) => {
    const input = readInput(signInInput, req.body)
    if (!input.ok) return refuse(req, res, 400, { error: INCOMPLETE, fields: input.fields })
    const { email, password, remember } = input.value
    const result = await auth.login(req.session, { identifier: email, password, remember })
    if (!result.ok) return refuse(req, res, ...refusalOf(res, result))
    answer(req, res, { json: { ok: true, userId: result.userId }, goTo: safeReturnPath(input.value.returnTo, '/dashboard') })
  })

  router.post('/logout', async (req, res) => {
    await req.session.logout()
    answer(req, res, { json: { ok: true }, goTo: '/login?signed-out' })
  })

  function refuse(req: Request, res: Response, status: number, problem: FormState): void {
    const error = status === 401 ? 'The e-mail address or the password is wrong.' : problem.error
    const page = () => signInPage(formFrameOf(req, users), { ...problem, error, values: req.body ?? {} })
    answer(req, res, { status, json: problem, page })
  }

  return router
}
