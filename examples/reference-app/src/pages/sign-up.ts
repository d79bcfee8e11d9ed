import { emailField, type FormState, passwordField, problem, rememberField, returnToField } from './fields.ts'
import { html } from './html.ts'
import { csrfField, type Frame, layout } from './layout.ts'

const hint = 'At least 8 characters. Three or four unrelated words are easy to keep in mind and hard to guess.'

export function signUpPage(frame: Frame, form: FormState): string {
  return layout({
    ...frame,
    title: 'Sign up',
    here: '/signup',
    width: 'narrow',
    main: html`<h1>Make an account</h1>
${problem(form)}
<form class="card form" method="post" action="/signup" novalidate>${csrfField(frame)}
${emailField(form)}
${passwordField(form, { label: 'Password', autocomplete: 'new-password', hint })}
${rememberField(form)}
${returnToField(form)}
<button class="primary">Sign up</button>
</form>
<p class="aside">Have an account? <a href="/login">Sign in</a></p>`,
  })
}
