import { emailField, type FormState, passwordField, problem, returnToField } from './fields.ts'
import { type Html, html } from './html.ts'
import { csrfField, type Frame, layout } from './layout.ts'

const hint = 'At least 8 characters. Three or four unrelated words are easy to keep in mind and hard to guess.'

/** Tells a password manager whose password it is. */
function userNameField({ user }: Frame): Html {
  return html`<input type="text" name="username" autocomplete="username" value="${user?.email}" hidden>`
}

/** Asks who is signed in for the password again (ASVS 5.0 7.5.1). */
export function confirmPage(frame: Frame, form: FormState): string {
  return layout({
    ...frame,
    title: 'Confirm that it is you',
    width: 'narrow',
    main: html`<h1>Confirm that it is you</h1>
<p class="lead">What you are about to do needs your password once more. Then do it again.</p>
${problem(form)}
<form class="card form" method="post" action="/account/confirm" novalidate>${csrfField(frame)}${userNameField(frame)}
${passwordField(form, { label: 'Password', autocomplete: 'current-password' })}
${returnToField(form)}
<button class="primary">Confirm</button>
</form>`,
  })
}

export function forgotPage(frame: Frame, form: FormState): string {
  return layout({
    ...frame,
    title: 'Forgot your password',
    width: 'narrow',
    main: html`<h1>Forgot your password?</h1>
<p class="lead">We send you a link by which you choose a new one. It works for half an hour, once.</p>
${problem(form)}
<form class="card form" method="post" action="/forgot" novalidate>${csrfField(frame)}
${emailField(form)}
<button class="primary">Send the link</button>
</form>
<p class="aside"><a href="/login">Back to sign-in</a></p>`,
  })
}

/** The same whether or not there is such an account (ASVS 5.0 6.3.8). */
export function forgotSentPage(frame: Frame): string {
  return layout({
    ...frame,
    title: 'Look into your mail',
    width: 'narrow',
    main: html`<h1>Look into your mail</h1>
<p class="lead" role="status">If there is an account with this address, a link is on its way. It works for half an hour, once.</p>
<p class="aside">Nothing came? Look among the junk mail, or <a href="/forgot">ask again</a>.</p>
<p class="actions"><a class="button" href="/login">Back to sign-in</a></p>`,
  })
}

export function resetPage(frame: Frame, token: string, form: FormState): string {
  return layout({
    ...frame,
    title: 'Choose a new password',
    width: 'narrow',
    main: html`<h1>Choose a new password</h1>
<p class="lead">You will be signed out everywhere.</p>
${problem(form)}
<form class="card form" method="post" action="/reset" novalidate>${csrfField(frame)}
<input type="hidden" name="token" value="${token}">
${passwordField(form, { label: 'New password', autocomplete: 'new-password', hint })}
<button class="primary">Change the password</button>
</form>
<p class="aside">Link too old? <a href="/forgot">Ask for another</a></p>`,
  })
}

export interface SettingsForms {
  readonly password?: FormState
  readonly email?: FormState
}

export function settingsPage(frame: Frame, { password = {}, email = {} }: SettingsForms): string {
  return layout({
    ...frame,
    title: 'Password and e-mail',
    width: 'narrow',
    main: html`<h1>Password and e-mail</h1>
<section class="part" aria-labelledby="change-password">
<h2 id="change-password">Change the password</h2>
${problem(password)}
<form class="card form" method="post" action="/account/password" novalidate>${csrfField(frame)}${userNameField(frame)}
${passwordField(password, { label: 'Present password', autocomplete: 'current-password' })}
${passwordField(password, { name: 'newPassword', label: 'New password', autocomplete: 'new-password', hint })}
<button class="primary">Change the password</button>
</form>
<p class="aside">Your other devices are signed out by it.</p>
</section>
<section class="part" aria-labelledby="change-email">
<h2 id="change-email">Change the e-mail address</h2>
${problem(email)}
<form class="card form" method="post" action="/account/email" novalidate>${csrfField(frame)}
${emailField({ ...email, values: email.values ?? { email: frame.user?.email } })}
<button>Change the address</button>
</form>
</section>`,
  })
}
