import { memoryStore } from 'coatcheck/memory'
import { coatcheckSubject } from '../apps/coatcheck-express.ts'
import type { StartSubject } from '../subject.ts'

export const start: StartSubject = users => coatcheckSubject(memoryStore(), users)
