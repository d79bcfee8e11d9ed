import { safeReturnPath } from 'coatcheck'
import { type Request, type Response, Router } from 'express'
import type { Context } from '../app.ts'
import { frameOf } from '../frame.ts'
import { INCOMPLETE, readInput, signUpInput } from '../input.ts'
import { answer, sendPage } from '../negotiation.ts'
import { signUpPage } from '../pages/sign-up.ts'

/** That the address is taken can be seen here; hiding it needs a mail to that address, and so a mail server. */
const TAKEN = 'There is an account with this address already.'

export function signUpRoutes({ users, auth }: Context): Router {
  const router = Router()

  router.get('/signup', (req, res) => {
    if (req.session.userId !== undefined) return res.redirect(303, '/dashboard')
    sendPage(res, 200, signUpPage({}, { values: { returnTo: req.query.returnTo } }))
  })

  router.post('/signup', async (req, res) => {
    const input = readInput(signUpInput, req.body)
    if (!input.ok) return refuse(req, res, 400, INCOMPLETE, input.fields)
    const { email, password, remember, returnTo } = input.value
    const hashed = await auth.hashPassword(password, [email])
    if (!hashed.ok) return refuse(req, res, 400, INCOMPLETE, { password: hashed.message })
    const user = users.add({ email, passwordHash: hashed.passwordHash, role: 'member' })
    if (user === undefined) return refuse(req, res, 409, TAKEN, { email: TAKEN })
    await req.session.login(user.id, { remember, data: { role: user.role } })
    auth.rememberDevice(req.session)
    answer(req, res, { status: 201, json: { ok: true, userId: user.id }, goTo: safeReturnPath(returnTo, '/dashboard') })
  })

  function refuse(req: Request, res: Response, status: number, error: string, fields: Readonly<Record<string, string>>): void {
    const page = () => signUpPage(frameOf(req, users), { values: req.body ?? {}, fields })
    answer(req, res, { status, json: { error, fields }, page })
  }

  return router
}
