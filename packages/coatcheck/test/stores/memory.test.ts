import { describe, test } from 'vitest'
import { memoryStore } from '../../src/stores/memory.ts'
import { storeLaws } from '../../src/testing/index.ts'

function openSpace() {
  const store = memoryStore()
  return { store, second: () => store, close() {} }
}

describe('the memory store', () => {
  for (const law of storeLaws({ open: openSpace })) test(law.name, law.run)
})
