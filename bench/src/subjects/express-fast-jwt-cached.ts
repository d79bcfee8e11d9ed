import { fastJwtSubject } from '../apps/fast-jwt-subject.ts'
import type { StartSubject } from '../subject.ts'

export const start: StartSubject = async users => fastJwtSubject(users, true)
