import { emailField, type FormState, passwordField, problem, rememberField, returnToField } from './fields.ts'
import { html } from './html.ts'
import { csrfField, type Frame, layout } from './layout.ts'

export function signInPage(frame: Frame, form: FormState): string {
  return layout({
    ...frame,
    title: 'Sign in',
    here: '/login',
    width: 'narrow',
    main: html`<h1>Sign in</h1>
${problem(form)}
<form class="card form" method="post" action="/login" novalidate>${csrfField(frame)}
${emailField(form)}
${passwordField(form, { label: 'Password', autocomplete: 'current-password' })}
${rememberField(form)}
${returnToField(form)}
<button class="primary">Sign in</button>
</form>
<p class="aside">New here? <a href="/signup">Make an account</a></p>
<p class="lead"><a href="/forgot">Forgot your password?</a></p>`,
  })
}
