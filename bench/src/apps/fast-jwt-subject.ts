import { createSigner, createVerifier } from 'fast-jwt'
import { PEOPLE, type Subject } from '../subject.ts'
import { LIFETIME_MS, personalData, SECRET } from './data.ts'
import { jwtSubject } from './jwt-app.ts'

/** fast-jwt; with `cached`, verified tokens are remembered, and the cache holds everybody. */
export function fastJwtSubject(users: readonly string[], cached: boolean): Promise<Subject> {
  const sign = createSigner({ key: SECRET, algorithm: 'HS256', expiresIn: LIFETIME_MS })
  const verify = createVerifier({ key: SECRET, algorithms: ['HS256'], ...(cached ? { cache: 10 * PEOPLE } : {}) })
  return jwtSubject(users, { sign: userId => sign(personalData(userId)), verify: token => verify(token).userId })
}
