import { createSecretKey } from 'node:crypto'
import jwt from 'jsonwebtoken'
import { LIFETIME_MS, personalData, SECRET } from '../apps/data.ts'
import { jwtSubject } from '../apps/jwt-app.ts'
import type { StartSubject } from '../subject.ts'

export const start: StartSubject = users => {
  // A ready key, not a string that is made into one on every request: in the peer's favour.
  const key = createSecretKey(Buffer.from(SECRET))
  const verify = (token: string) => jwt.verify(token, key, { algorithms: ['HS256'] }) as jwt.JwtPayload
  return jwtSubject(users, {
    sign: userId => jwt.sign(personalData(userId), key, { expiresIn: LIFETIME_MS / 1000 }),
    verify: token => verify(token).userId,
  })
}
