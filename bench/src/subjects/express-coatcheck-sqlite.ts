import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sqliteStore } from 'coatcheck/sqlite'
import { coatcheckSubject } from '../apps/coatcheck-express.ts'
import type { StartSubject } from '../subject.ts'

/** On a real file, as in production. */
export const start: StartSubject = async users => {
  const folder = await mkdtemp(join(tmpdir(), 'coatcheck-bench-'))
  const store = sqliteStore(join(folder, 'sessions.db'))
  const close = async () => {
    await store.close?.()
    await rm(folder, { recursive: true })
  }
  return { ...(await coatcheckSubject(store, users)), close }
}
