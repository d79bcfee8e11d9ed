import { requireAuth } from 'coatcheck/express'
import { Router } from 'express'
import type { Context } from '../app.ts'
import { frameOf } from '../frame.ts'
import { ifListed } from '../listing.ts'
import { answer, sendPage } from '../negotiation.ts'
import { dashboardPage } from '../pages/dashboard.ts'
import { homePage } from '../pages/home.ts'
import { signedInUser } from './signed-in-user.ts'

export function homeRoutes({ users, sessions, say }: Context): Router {
  const router = Router()

  router.get('/', (req, res) => {
    if (req.session.userId !== undefined) return res.redirect(303, '/dashboard')
    sendPage(res, 200, homePage({}))
  })

  router.get('/dashboard', requireAuth({ loginPath: '/login', answer: say }), async (req, res) => {
    const user = await signedInUser(req.session, users)
    const devices = await ifListed(sessions.devices(req.session))
    answer(req, res, {
      json: { userId: user.id, role: user.role },
      page: () => dashboardPage(frameOf(req, users), { user, devices }),
    })
  })

  return router
}
