import { sharedSubject } from '../apps/coatcheck-express.ts'
import type { StartSubject } from '../subject.ts'

export const start: StartSubject = users => sharedSubject('mongo', true, users)
