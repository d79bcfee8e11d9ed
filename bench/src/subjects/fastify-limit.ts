import fastify from 'fastify'
import { fastifySubject, type WithUserId } from '../apps/fastify-app.ts'
import { lookAlikeCookie } from '../apps/look-alike.ts'
import type { StartSubject } from '../subject.ts'

/** Fastify's limit: the same request and response, and a hook that does nothing. */
export const start: StartSubject = async users => {
  const userId = users[0]!
  const app = fastify()
  app.addHook('onRequest', (_request, _reply, done) => done())
  app.post<WithUserId>('/login/:userId', (_request, reply) => {
    reply.header('Set-Cookie', lookAlikeCookie()).send({ ok: true })
  })
  const { signedIn, ...subject } = await fastifySubject(app, users, () => userId)
  return { ...subject, signedIn: signedIn.map(({ cookie }) => ({ cookie, userId })) }
}
