import * as v from 'valibot'
import { SHORTEST_PASSWORD } from './settings.ts'

/** What a form or JSON body came to: the value, or what is wrong with each field, in words for the person. */
export type Input<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly fields: Readonly<Record<string, string>> }

export const INCOMPLETE = 'Please check what you entered.'

const LONGEST_EMAIL = 254
const LONGEST_PASSWORD = 4096

/** A ticked checkbox sends `on`; JSON sends a boolean. */
const checkbox = v.optional(
  v.pipe(
    v.union([v.boolean(), v.picklist(['on', 'true', 'false'])], 'Must be true or false.'),
    v.transform(value => value === true || value === 'on' || value === 'true'),
  ),
  false,
)

const returnTo = v.optional(v.string('Must be text.'), '')
const emailLength = v.maxLength<string, number, string>(LONGEST_EMAIL, 'That is too long for an e-mail address.')
const passwordLength = v.check<string, string>(
  text => lengthOf(text) <= LONGEST_PASSWORD,
  `At most ${LONGEST_PASSWORD} characters, please.`,
)
const passwordMinimum = v.check<string, string>(
  text => lengthOf(text) >= SHORTEST_PASSWORD,
  `Choose ${SHORTEST_PASSWORD} characters or more; 15 are better.`,
)

/** Lenient: whether an account fits is the answer's business, and that answer is one and the same. */
export const signInInput = v.object({
  email: v.optional(v.pipe(text('Enter your e-mail address.'), emailLength), ''),
  password: v.optional(v.pipe(text('Enter your password.'), passwordLength), ''),
  remember: checkbox,
  returnTo,
})

/** Length is the only rule: no kinds of characters are asked for (ASVS 5.0 6.2.1, 6.2.5, 6.2.9). */
export const signUpInput = v.object({
  email: v.optional(
    v.pipe(text('Enter your e-mail address.'), v.trim(), emailLength, v.email('Enter an address such as ada@example.com.')),
    '',
  ),
  password: v.optional(v.pipe(text('Choose a password.'), passwordMinimum, passwordLength), ''),
  remember: checkbox,
  returnTo,
})

const presentPassword = v.optional(v.pipe(text('Enter your password.'), passwordLength), '')
const newPassword = v.optional(v.pipe(text('Choose a password.'), passwordMinimum, passwordLength), '')

export const confirmInput = v.object({ password: presentPassword, returnTo })
export const changePasswordInput = v.object({ password: presentPassword, newPassword })
export const resetInput = v.object({ token: v.optional(v.string('Must be text.'), ''), password: newPassword })
export const forgotInput = v.object({ email: v.optional(v.pipe(text('Enter your e-mail address.'), emailLength), '') })
export const changeEmailInput = v.pick(signUpInput, ['email'])

/** In code points, as people count. */
function lengthOf(text: string): number {
  return [...text].length
}

function text(missing: string) {
  return v.pipe(v.string(missing), v.nonEmpty(missing))
}

/** Checks a body: what came of it, or one sentence for each field that is wrong. */
export function readInput<Schema extends v.GenericSchema>(schema: Schema, body: unknown): Input<v.InferOutput<Schema>> {
  const result = v.safeParse(schema, isRecord(body) ? body : {}, { abortPipeEarly: true })
  if (result.success) return { ok: true, value: result.output }
  return { ok: false, fields: Object.fromEntries(result.issues.map(issue => [v.getDotPath(issue) ?? '', issue.message])) }
}

function isRecord(body: unknown): body is Record<string, unknown> {
  return typeof body === 'object' && body !== null && !Array.isArray(body)
}
