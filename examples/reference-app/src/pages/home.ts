import { html } from './html.ts'
import { tag } from './icons.ts'
import { type Frame, layout } from './layout.ts'

/** What a visitor sees first. It sets no cookie. */
export function homePage(frame: Frame): string {
  return layout({
    ...frame,
    title: 'Welcome',
    width: 'narrow',
    main: html`<div class="hello">
${tag}
<h1>Your coat is safe with us</h1>
<p class="lead">Sign in, see every device that you are signed in on, and sign any of them out: the next click there already knows.</p>
<p class="actions"><a class="button primary" href="/login">Sign in</a> <a class="button" href="/signup">Make an account</a></p>
</div>`,
  })
}
