import { RedisStore } from 'connect-redis'
import { expressSessionApp } from '../apps/express-session-app.ts'
import { redisClient } from '../apps/shared-stores.ts'
import { signInAll } from '../apps/sign-in.ts'
import type { StartSubject } from '../subject.ts'

export const start: StartSubject = async users => {
  const client = await redisClient()
  const listener = expressSessionApp(new RedisStore({ client }))
  return { listener, signedIn: await signInAll(listener, users), close: async () => client.destroy() }
}
