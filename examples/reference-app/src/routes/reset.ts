import { type Request, type Response, Router } from 'express'
import type { Context } from '../app.ts'
import { formFrameOf, frameOf } from '../frame.ts'
import { forgotInput, INCOMPLETE, readInput, resetInput } from '../input.ts'
import { answer, refusalOf, sendPage } from '../negotiation.ts'
import type { FormState } from '../pages/fields.ts'
import { forgotPage, forgotSentPage, resetPage } from '../pages/passwords.ts'

const DEAD_LINK = 'This link has been used, or is too old. Ask for another.'

/** A way in for those who forgot the password (ASVS 5.0 6.4.3). */
export function resetRoutes({ users, auth }: Context): Router {
  const router = Router()

  router.get('/forgot', (req, res) => sendPage(res, 200, forgotPage(formFrameOf(req, users), {})))

  router.post('/forgot', async (req, res) => {
    const input = readInput(forgotInput, req.body)
    if (!input.ok) return refuseForgot(req, res, 400, { error: INCOMPLETE, fields: input.fields })
    const result = await auth.requestReset(req.session, { identifier: input.value.email })
    if (!result.ok) return refuseForgot(req, res, ...refusalOf(res, result))
    answer(req, res, { json: { ok: true }, page: () => forgotSentPage(frameOf(req, users)) })
  })

  router.get('/reset', (req, res) => {
    res.set('Cache-Control', 'no-store')
    sendPage(res, 200, resetPage(formFrameOf(req, users), textOf(req.query.token), {}))
  })

  router.post('/reset', async (req, res) => {
    const input = readInput(resetInput, req.body)
    if (!input.ok) return refuseReset(req, res, { error: INCOMPLETE, fields: input.fields })
    const result = await auth.resetPassword(req.session, input.value)
    if (result.ok) return answer(req, res, { json: { ok: true }, goTo: '/login?reset' })
    if (result.reason === 'invalid') return refuseReset(req, res, { error: DEAD_LINK })
    refuseReset(req, res, { error: INCOMPLETE, fields: { password: result.message } })
  })

  function refuseForgot(req: Request, res: Response, status: number, problem: FormState): void {
    const page = () => forgotPage(formFrameOf(req, users), { ...problem, values: req.body ?? {} })
    answer(req, res, { status, json: problem, page })
  }

  function refuseReset(req: Request, res: Response, problem: FormState): void {
    const token = textOf((req.body as { token?: unknown } | undefined)?.token)
    answer(req, res, { status: 400, json: problem, page: () => resetPage(formFrameOf(req, users), token, problem) })
  }

  return router
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
