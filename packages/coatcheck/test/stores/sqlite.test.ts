import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'vitest'
import { sqliteStore } from '../../src/stores/sqlite.ts'
import { storeLaws } from '../../src/testing/index.ts'

function openSpace() {
  const folder = mkdtempSync(join(tmpdir(), 'coatcheck-'))
  const path = join(folder, 'sessions.db')
  const opened = [sqliteStore(path)]
  return {
    store: opened[0]!,
    second() {
      opened.push(sqliteStore(path))
      return opened[1]!
    },
    async close() {
      for (const store of opened) await store.close?.()
      rmSync(folder, { recursive: true })
    },
  }
}

describe('the sqlite store', () => {
  for (const law of storeLaws({ open: openSpace })) test(law.name, law.run)
})
