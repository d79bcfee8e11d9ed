import type { Device } from 'coatcheck'
import { requireAuth, requireFresh } from 'coatcheck/express'
import { type Request, type Response, Router } from 'express'
import type { Context } from '../app.ts'
import { deviceName } from '../device-name.ts'
import { frameOf } from '../frame.ts'
import { ifListed } from '../listing.ts'
import { answer, wantsPage } from '../negotiation.ts'
import { devicesPage, unlistedPage } from '../pages/devices.ts'
import { Refusal } from '../refusals.ts'
import { signedInUser } from './signed-in-user.ts'

const DEVICES = '/account/sessions'

/** What a person can do about their own sessions. */
export function accountRoutes({ users, sessions, freshFor, say }: Context): Router {
  const router = Router()
  /** Whoever holds a stolen session must not be able to sign its owner out with it (ASVS 5.0 7.5.2). */
  const fresh = requireFresh(freshFor, { answer: say })
  router.use('/account', requireAuth({ loginPath: '/login', answer: say }))

  router.get(DEVICES, async (req, res) => {
    await signedInUser(req.session, users)
    const devices = await ifListed(sessions.devices(req.session))
    if (devices === undefined) return sayUnlisted(req, res)
    answer(req, res, {
      json: { sessions: devices.map(deviceFacts) },
      page: () => devicesPage(frameOf(req, users), devices, Date.now()),
    })
  })

  router.post(`${DEVICES}/revoke-others`, fresh, async (req, res) => {
    const revoked = await sessions.revokeOthers(req.session)
    // A program reads the count; it sees no page on which a notice could appear.
    answer(req, res, { json: { ok: true, revoked }, goTo: DEVICES, notice: othersNotice(revoked) })
  })

  router.delete(`${DEVICES}/:id`, fresh, revokeDevice)
  router.post(`${DEVICES}/:id/revoke`, fresh, revokeDevice)

  async function revokeDevice(req: Request<{ id: string }>, res: Response): Promise<void> {
    const { id } = req.params
    const device = (await ifListed(sessions.devices(req.session)))?.find(each => each.id === id)
    if (!(await sessions.revokeDevice(req.session, id))) throw new Refusal(404, 'Not found')
    if (req.session.userId === undefined) return answer(req, res, { json: { ok: true }, goTo: '/login?signed-out' })
    answer(req, res, {
      json: { ok: true },
      goTo: DEVICES,
      notice: `Signed out: ${device ? deviceName(device.userAgent).name : 'that device'}.`,
    })
  }

  /** A program asked for the list itself; a person can still sign out everywhere else. */
  function sayUnlisted(req: Request, res: Response): void {
    const json = { error: 'Sessions are kept in Memcached, which keeps no lists.', code: 'NOT_SUPPORTED' }
    answer(req, res, { status: wantsPage(req) ? 200 : 501, json, page: () => unlistedPage(frameOf(req, users)) })
  }

  return router
}

function othersNotice(count: number): string {
  // Of what is now: where no lists are kept, nobody knows for sure what was.
  if (count === 0) return 'You are signed in on no other device now.'
  return count === 1 ? 'One other device has been signed out.' : `${count} other devices have been signed out.`
}

/** A device as programs see it: neither token nor User-Agent. */
function deviceFacts({ id, current, userAgent, ip, createdAt, lastSeenAt, expiresAt, remember }: Device): object {
  return { id, current, device: deviceName(userAgent).name, ip, createdAt, lastSeenAt, expiresAt, remember }
}
