import { CoatcheckError } from './errors.ts'
import type { Bag } from './session-data.ts'

const LONGEST_ID_BYTES = 255

/** `userId`, else `user?.id`, else `passport?.user`: what most applications and Passport store. */
export function defaultIdentify(data: Bag): unknown {
  const { userId, user, passport } = data as {
    userId?: unknown
    user?: { id?: unknown } | null
    passport?: { user?: unknown } | null
  }
  return userId ?? user?.id ?? passport?.user
}

/** `role`. */
export function defaultPrivilege(data: Bag): unknown {
  return (data as { role?: unknown }).role
}

/**
 * The id as stores and lists know it, or null for nobody.
 *
 * @throws CoatcheckError `BAD_IDENTITY` for what cannot name one person: an object above all, which would file
 *   everybody under "[object Object]"
 */
export function normalizeUserId(value: unknown): string | null {
  if (value === undefined || value === null) return null
  if (typeof value === 'string' && isUsableText(value)) return value
  if (typeof value === 'bigint' || Number.isSafeInteger(value)) return String(value)
  throw new CoatcheckError(
    'BAD_IDENTITY',
    `identify(data) must give a user id: non-empty text of at most ${LONGEST_ID_BYTES} bytes, a safe integer, a bigint, or undefined for nobody. ` +
      `It gave ${describe(value)}. Pass createSessions({ identify: (data) => … }) or store the id instead of the user.`,
  )
}

function isUsableText(text: string): boolean {
  return text !== '' && !text.includes('\0') && text.isWellFormed() && Buffer.byteLength(text) <= LONGEST_ID_BYTES
}

/** What came, without its content: it may be personal. */
function describe(value: unknown): string {
  if (typeof value === 'string') return value === '' ? 'empty text' : `unusable text of ${value.length} characters`
  if (typeof value === 'number') return `the number ${value}`
  return Array.isArray(value) ? 'an array' : `a value of type ${typeof value}`
}

/** JSON with sorted keys, so that two spellings of one privilege are equal. */
export function canonicalJson(value: unknown): string {
  return (
    JSON.stringify(value, (_key, inner: unknown) =>
      isPlain(inner) ? Object.fromEntries(Object.entries(inner).sort(byKey)) : inner,
    ) ?? ''
  )
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function byKey([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : 1
}
