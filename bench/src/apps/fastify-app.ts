import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Subject } from '../subject.ts'
import { signInAll } from './sign-in.ts'

/** The route of a login. */
export interface WithUserId {
  Params: { userId: string }
}

/** The app with its `GET /me`, which has the bytes of every Fastify subject, and everybody signed in. */
export async function fastifySubject(
  app: FastifyInstance,
  users: readonly string[],
  userIdOf: (request: FastifyRequest) => string,
): Promise<Subject> {
  app.get('/me', (request, reply) => {
    reply
      .header('Cache-Control', 'private, no-store')
      .header('Vary', 'Cookie')
      .send({ userId: userIdOf(request) })
  })
  await app.ready()
  return { listener: app.routing, signedIn: await signInAll(app.routing, users), close: () => app.close() }
}
