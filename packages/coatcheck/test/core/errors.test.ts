import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { CoatcheckError, type ErrorCode, isCoatcheckError } from '../../src/core/errors.ts'

const read = (path: string) => readFileSync(join(import.meta.dirname, path), 'utf8')

/** `CODE: status` from the table in the source. */
const inCode = [...read('../../src/core/errors.ts').matchAll(/^ {2}([A-Z_]+): (\d{3}),$/gm)].map(
  ([, code, status]) => `${code} ${status}`,
)

/** The same from the rows of the page: code, status, what happened, what to do. */
const rows = [...read('../../../../docs/errors.md').matchAll(/^\| `([A-Z_]+)` \| (\d{3}) \| (.+) \| (.+) \|$/gm)]
const inDocs = rows.map(([, code, status]) => `${code} ${status}`)

test('docs/errors.md explains each code, once, with the status that it has', () => {
  expect(inCode.length).toBeGreaterThan(15)
  expect([...inDocs].sort()).toEqual([...inCode].sort())
})

test.each(inCode)('%s is what an error of this code carries', entry => {
  const [code, status] = entry.split(' ')
  expect(new CoatcheckError(code as ErrorCode, 'a message').status).toBe(Number(status))
})

test('an error keeps its cause and the time to wait', () => {
  const cause = new Error('ECONNREFUSED')
  const error = new CoatcheckError('STORE_UNAVAILABLE', 'The store is away.', { cause, retryAfter: 3 })
  expect(error).toMatchObject({ name: 'CoatcheckError', message: 'The store is away.', cause, retryAfter: 3, status: 503 })
})

test('an error of another copy of the package is known as ours, and anything else is not', () => {
  const foreign = Object.assign(new Error('x'), { name: 'CoatcheckError', code: 'FORBIDDEN', status: 403 })
  expect(isCoatcheckError(foreign)).toBe(true)
  expect(isCoatcheckError(new Error('x'))).toBe(false)
  expect(isCoatcheckError({ name: 'CoatcheckError', code: 'FORBIDDEN', status: 403 })).toBe(false)
})
