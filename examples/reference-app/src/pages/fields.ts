import { type Html, html } from './html.ts'

/** A form as it is shown: empty, or again with what was typed and what was wrong. Passwords are never shown again. */
export interface FormState {
  readonly values?: Readonly<Record<string, unknown>>
  /** What was wrong with the whole. */
  readonly error?: string | undefined
  /** What was wrong with each field. */
  readonly fields?: Readonly<Record<string, string>>
}

export interface PasswordFieldOptions {
  readonly label: string
  readonly autocomplete: 'current-password' | 'new-password'
  readonly hint?: string
  /** Default `password`. */
  readonly name?: string
}

/** The sentence above the form; fields with errors say more. */
export function problem({ error }: FormState): Html | undefined {
  return error === undefined ? undefined : html`<p class="problem" role="alert">${error}</p>`
}

export function emailField(form: FormState): Html {
  const input = html`<input id="email" name="email" type="email" autocomplete="username" autocapitalize="none" spellcheck="false"
 value="${typed(form, 'email')}" required maxlength="254"${marks(form, 'email')}>`
  return field(form, 'email', 'E-mail address', input)
}

export function passwordField(form: FormState, { label, autocomplete, hint, name = 'password' }: PasswordFieldOptions): Html {
  const input = html`<input id="${name}" name="${name}" type="password" autocomplete="${autocomplete}"
 required${marks(form, name, hint)}>`
  return field(form, name, label, input, hint)
}

export function rememberField(form: FormState): Html {
  const checked = form.values?.remember ? html` checked` : undefined
  return html`<label class="check"><input type="checkbox" name="remember"${checked}> <span>Keep me signed in on this device</span></label>`
}

export function returnToField(form: FormState): Html | undefined {
  const path = typed(form, 'returnTo')
  return path === '' ? undefined : html`<input type="hidden" name="returnTo" value="${path}">`
}

function field(form: FormState, name: string, label: string, input: Html, hint?: string): Html {
  const error = form.fields?.[name]
  return html`<div class="field">
<label for="${name}">${label}</label>
${input}
${error !== undefined && html`<p class="field-error" id="${name}-error">${error}</p>`}
${hint !== undefined && html`<p class="hint" id="${name}-hint">${hint}</p>`}
</div>`
}

/** Ties the field to its error and hint for those who hear the page. */
function marks(form: FormState, name: string, hint?: string): Html {
  const wrong = form.fields?.[name] !== undefined
  const described = [wrong && `${name}-error`, hint !== undefined && `${name}-hint`].filter(Boolean).join(' ')
  return html`${wrong && html` aria-invalid="true"`}${described !== '' && html` aria-describedby="${described}"`}`
}

function typed(form: FormState, name: string): string {
  const value = form.values?.[name]
  return typeof value === 'string' ? value : ''
}
