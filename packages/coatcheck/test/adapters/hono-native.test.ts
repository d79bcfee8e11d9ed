import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { adapterLaws } from '../../src/testing/index.ts'
import { serveWith } from './hono-site.ts'
import { spaces } from './spaces.ts'

// A file of its own: once `@hono/node-server` has put its light Response in the place of node's, it stays there.
const native = Response

// Hono tells there of the errors that the laws provoke.
beforeEach(() => void vi.spyOn(console, 'error').mockImplementation(() => {}))
afterEach(() => void vi.restoreAllMocks())

for (const law of adapterLaws({ serve: serveWith(false), open: spaces.memory })) test(law.name, law.run)

test("the Response was node's own all the time", () => {
  expect(Response).toBe(native)
})
