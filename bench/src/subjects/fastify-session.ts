import cookie from '@fastify/cookie'
import session from '@fastify/session'
import fastify, { type FastifyRequest } from 'fastify'
import { LIFETIME_MS, personalData, SECRET } from '../apps/data.ts'
import { fastifySubject, type WithUserId } from '../apps/fastify-app.ts'
import type { StartSubject } from '../subject.ts'

/** With its default store, which is memory, and settings like those that express-session has here. */
export const start: StartSubject = users => {
  const app = fastify()
  app.register(cookie)
  app.register(session, {
    secret: SECRET,
    saveUninitialized: false,
    rolling: false,
    cookie: { secure: false, maxAge: LIFETIME_MS },
  })
  app.post<WithUserId>('/login/:userId', async request => {
    Object.assign(bagOf(request), personalData(request.params.userId))
    return { ok: true }
  })
  return fastifySubject(app, users, request => bagOf(request).userId!)
}

function bagOf(request: FastifyRequest): { userId?: string } {
  return 'session' in request ? (request.session as { userId?: string }) : {}
}
