import type { SignUpResult } from '@coatcheck/auth'
import { safeReturnPath } from 'coatcheck'
import { type Request, type Response, Router } from 'express'
import type { Context } from '../app.ts'
import { formFrameOf } from '../frame.ts'
import { INCOMPLETE, readInput, signUpInput } from '../input.ts'
import { answer, refusalOf, sendPage } from '../negotiation.ts'
import type { FormState } from '../pages/fields.ts'
import { signUpPage } from '../pages/sign-up.ts'

/**
 * That the address is taken can be seen here, by as many tries as one address has (ASVS 5.0 6.3.8). To hide it, answer both
 * alike, sign nobody in, and send a mail: with a link that makes the account, or to the owner of the one that there is.
 */
const TAKEN = 'There is an account with this address already.'

export function signUpRoutes({ users, auth }: Context): Router {
  const router = Router()

  router.get('/signup', (req, res) => {
    if (req.session.userId !== undefined) return res.redirect(303, '/dashboard')
    sendPage(res, 200, signUpPage(formFrameOf(req, users), { values: { returnTo: req.query.returnTo } }))
  })

  router.post('/signup', async (req, res) => {
    const input = readInput(signUpInput, req.body)
    if (!input.ok) return refuse(req, res, 400, { error: INCOMPLETE, fields: input.fields })
    const { email, password, remember, returnTo } = input.value
    const prepared = await auth.prepareSignUp(req.session, { identifier: email, password })
    if (!prepared.ok) return refuse(req, res, ...reasonOf(res, prepared))
    const user = users.add({ email, passwordHash: prepared.passwordHash, role: 'member' })
    if (user === undefined) return refuse(req, res, 409, taken)
    await req.session.login(user.id, { remember, data: { role: user.role } })
    await auth.rememberDevice(req.session)
    answer(req, res, { status: 201, json: { ok: true, userId: user.id }, goTo: safeReturnPath(returnTo, '/dashboard') })
  })

  function refuse(req: Request, res: Response, status: number, problem: FormState): void {
    const page = () => signUpPage(formFrameOf(req, users), { ...problem, values: req.body ?? {} })
    answer(req, res, { status, json: problem, page })
  }

  return router
}

const taken: FormState = { error: TAKEN, fields: { email: TAKEN } }

function reasonOf(res: Response, result: Exclude<SignUpResult, { ok: true }>): [status: number, problem: FormState] {
  if (result.reason === 'taken') return [409, taken]
  if (result.reason === 'weak') return [400, { error: INCOMPLETE, fields: { password: result.message } }]
  return refusalOf(res, result)
}
