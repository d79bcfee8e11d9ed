// An Express app as a reader of the README writes it: `req.session` is typed, and only as the data were declared.
import { createSessions, requireAuth, requireFresh, requireRole, session } from 'coatcheck/express'
import { memoryStore } from 'coatcheck/memory'
import express from 'express'

// The main entry is imported nowhere else in this program, and its types can be added to all the same.
declare module 'coatcheck' {
  interface SessionData {
    userId: number
    cart: string[]
  }
}

const sessions = createSessions({ store: memoryStore(), secret: 'a secret of at least thirty-two bytes' })
const app = express().use(express.json(), session(sessions))

app.post('/login', async (req, res) => {
  await req.session.login(7, { remember: true })
  // @ts-expect-error: userId was typed as a number.
  await req.session.login('seven')
  res.json({ ok: true })
})

app.get('/cart', requireAuth({ loginPath: '/login' }), (req, res) => {
  // @ts-expect-error: a field may be unset.
  req.session.cart.push('coat')
  const cart: string[] = req.session.cart ?? []
  req.session.cart = [...cart, 'hat']
  // @ts-expect-error: a typo is not a new key.
  req.session.crat = []
  // @ts-expect-error: userId was typed as a number.
  const wrong: string | undefined = req.session.userId
  res.json({ cart, wrong })
})

app.post('/reset', (req, res) => {
  delete req.session.cart
  // @ts-expect-error: the session itself is not to be replaced.
  req.session = {}
  res.end()
})

app.get('/devices', requireAuth(), async (req, res) => {
  res.json(await sessions.devices(req.session))
})
app.delete('/users/:id', requireRole('admin'), requireFresh('10m'), async (req, res) => {
  await sessions.revokeUser(Number(req.params.id))
  res.json({ ok: true })
})
const roles = new Map<number, 'admin' | 'member'>()
app.use('/admin', requireRole('admin', { role: session => roles.get(session.userId) }))
app.use('/staff', requireRole('admin', 'member', { role: async ({ userId }) => roles.get(userId) ?? null }))
// @ts-expect-error: a role is a text.
app.use('/wrong', requireRole('admin', { role: ({ userId }) => userId }))
// @ts-expect-error: only roles can be looked up.
app.use('/wrong', requireAuth({ role: () => 'admin' }))
