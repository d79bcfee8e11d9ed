import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryStore } from '../../src/stores/memory.ts'
import { sqliteStore } from '../../src/stores/sqlite.ts'
import type { AdapterHarness } from '../../src/testing/index.ts'

/** The stores on which the adapters are proven: one that answers in memory, one that other processes share. */
export const spaces: Readonly<Record<'memory' | 'sqlite', AdapterHarness['open']>> = {
  memory() {
    const store = memoryStore()
    return { store, second: () => store, close() {} }
  },
  sqlite() {
    const folder = mkdtempSync(join(tmpdir(), 'coatcheck-'))
    const stores = [sqliteStore(join(folder, 'sessions.db'))]
    return {
      store: stores[0]!,
      second() {
        const store = sqliteStore(join(folder, 'sessions.db'))
        stores.push(store)
        return store
      },
      async close() {
        for (const store of stores) await store.close?.()
        rmSync(folder, { recursive: true })
      },
    }
  },
}
