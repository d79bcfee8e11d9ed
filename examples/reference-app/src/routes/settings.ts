import { safeReturnPath } from 'coatcheck'
import { requireFresh } from 'coatcheck/express'
import { type Request, type Response, Router } from 'express'
import type { Context } from '../app.ts'
import { frameOf } from '../frame.ts'
import { changeEmailInput, changePasswordInput, confirmInput, INCOMPLETE, readInput } from '../input.ts'
import { answer, refusalOf, sendPage } from '../negotiation.ts'
import type { FormState } from '../pages/fields.ts'
import { confirmPage, type SettingsForms, settingsPage } from '../pages/passwords.ts'
import { NOT_YOU } from '../sign-in-checks.ts'
import { signedInUser } from './signed-in-user.ts'

const SETTINGS = '/account/settings'
const NO_MAIL = 'We cannot send mail right now, and so cannot tell your old address. Nothing has been changed.'
const TAKEN = 'There is an account with this address already.'

/** What a person changes about the account, and the step-up before it. Mounted behind the guard of `/account`. */
export function settingsRoutes({ users, auth, sendMail, freshFor, say }: Context): Router {
  const router = Router()

  router.get('/account/confirm', (req, res) => {
    sendPage(res, 200, confirmPage(frameOf(req, users), { values: { returnTo: req.query.returnTo } }))
  })

  router.post('/account/confirm', async (req, res) => {
    const input = readInput(confirmInput, req.body)
    if (!input.ok) return refuseConfirm(req, res, 400, { error: INCOMPLETE, fields: input.fields })
    const result = await auth.reauthenticate(req.session, input.value)
    if (!result.ok) return refuseConfirm(req, res, ...refusalOf(res, result))
    answer(req, res, {
      json: { ok: true },
      goTo: safeReturnPath(input.value.returnTo, '/dashboard'),
      notice: 'Confirmed. Go on.',
    })
  })

  router.get(SETTINGS, async (req, res) => {
    await signedInUser(req.session, users)
    sendPage(res, 200, settingsPage(frameOf(req, users), {}))
  })

  /** `changePassword` asks for the present one itself: that is its step-up. */
  router.post('/account/password', async (req, res) => {
    const input = readInput(changePasswordInput, req.body)
    if (!input.ok) return refusePassword(req, res, 400, { error: INCOMPLETE, fields: input.fields })
    const result = await auth.changePassword(req.session, input.value)
    if (result.ok) return answer(req, res, { json: { ok: true }, goTo: SETTINGS, notice: CHANGED })
    if (result.reason !== 'weak') return refusePassword(req, res, ...refusalOf(res, result))
    refusePassword(req, res, 400, { error: INCOMPLETE, fields: { newPassword: result.message } })
  })

  router.post('/account/email', requireFresh(freshFor, { answer: say }), async (req, res) => {
    const input = readInput(changeEmailInput, req.body)
    if (!input.ok) return refuseEmail(req, res, 400, { error: INCOMPLETE, fields: input.fields })
    const { id, email } = await signedInUser(req.session, users)
    const taken = () => refuseEmail(req, res, 409, { error: TAKEN, fields: { email: TAKEN } })
    if (users.byEmail(input.value.email) !== undefined) return taken()
    if (!(await warnOwner(email, input.value.email))) return refuseEmail(req, res, 503, { error: NO_MAIL })
    if (!users.changeEmail(id, input.value.email)) return taken()
    answer(req, res, { json: { ok: true }, goTo: SETTINGS, notice: 'Your e-mail address has been changed.' })
  })

  /**
   * To the old address, before the change: it is where resets go, and a thief who knows the password would take it over
   * (ASVS 5.0 6.3.7). Where no mail can be sent, nothing changes.
   */
  async function warnOwner(old: string, address: string): Promise<boolean> {
    try {
      await sendMail({ to: old, text: `the e-mail address of your account becomes ${address}. ${NOT_YOU}` })
      return true
    } catch (error) {
      console.error('A notice of a changed address could not be sent:', error)
      return false
    }
  }

  function refuseConfirm(req: Request, res: Response, status: number, problem: FormState): void {
    const page = () => confirmPage(frameOf(req, users), { ...inWords(status, problem), values: req.body ?? {} })
    answer(req, res, { status, json: problem, page })
  }

  function refusePassword(req: Request, res: Response, status: number, problem: FormState): void {
    refuseSettings(req, res, status, problem, { password: inWords(status, problem) })
  }

  function refuseEmail(req: Request, res: Response, status: number, problem: FormState): void {
    refuseSettings(req, res, status, problem, { email: { ...problem, values: req.body ?? {} } })
  }

  function refuseSettings(req: Request, res: Response, status: number, json: FormState, forms: SettingsForms): void {
    answer(req, res, { status, json, page: () => settingsPage(frameOf(req, users), forms) })
  }

  return router
}

const CHANGED = 'Your password has been changed, and your other devices have been signed out.'

function inWords(status: number, problem: FormState): FormState {
  return status === 401 ? { ...problem, error: 'The password is wrong.' } : problem
}
