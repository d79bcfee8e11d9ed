import { fastJwtSubject } from '../apps/fast-jwt-subject.ts'
import type { StartSubject } from '../subject.ts'

export const start: StartSubject = users => fastJwtSubject(users, true)
