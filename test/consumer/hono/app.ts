// A Hono app as a reader of the README writes it: `c.var.session` is typed along the chain, and only as the data were declared.
import { createSessions, requireAuth, requireFresh, requireRole, type SessionVariables, session } from 'coatcheck/hono'
import { memoryStore } from 'coatcheck/memory'
import { Hono } from 'hono'

// The main entry is imported nowhere else in this program, and its types can be added to all the same.
declare module 'coatcheck' {
  interface SessionData {
    userId: number
    cart: string[]
  }
}

const sessions = createSessions({ store: memoryStore(), secret: 'a secret of at least thirty-two bytes' })

export const app = new Hono()
  .use(session(sessions))
  .post('/login', async c => {
    await c.var.session.login(7, { remember: true })
    // @ts-expect-error: userId was typed as a number.
    await c.var.session.login('seven')
    return c.json({ ok: true })
  })
  .get('/cart', requireAuth({ loginPath: '/login' }), c => {
    const bag = c.get('session')
    // @ts-expect-error: a field may be unset.
    bag.cart.push('coat')
    const cart: string[] = bag.cart ?? []
    bag.cart = [...cart, 'hat']
    // @ts-expect-error: a typo is not a new key.
    bag.crat = []
    // @ts-expect-error: userId was typed as a number.
    const wrong: string | undefined = bag.userId
    return c.json({ cart, wrong })
  })
  .get('/devices', requireAuth(), async c => c.json(await sessions.devices(c.var.session)))
  .delete('/users/:id', requireRole('admin'), requireFresh('10m'), async c => {
    await sessions.revokeUser(Number(c.req.param('id')))
    return c.json({ ok: true })
  })

const roles = new Map<number, 'admin' | 'member'>()
new Hono()
  .use(session(sessions, { as: 'adminSession' }))
  .get('/admin', requireRole('admin', { as: 'adminSession', role: ({ userId }) => roles.get(userId) }), c =>
    c.json({ userId: c.var.adminSession.userId }),
  )
  .get('/staff', requireRole('admin', 'member', { as: 'adminSession', role: async ({ userId }) => roles.get(userId) ?? null }))
// @ts-expect-error: a role is a text.
requireRole('admin', { role: ({ userId }) => userId })

// An app that is built in statements is told what its context holds.
const told = new Hono<{ Variables: SessionVariables }>()
told.use(session(sessions))
told.get('/', c => c.json({ userId: c.var.session.userId ?? null }))

const untold = new Hono()
// @ts-expect-error: nobody told this one.
untold.get('/', c => c.json({ userId: c.var.session.userId }))
