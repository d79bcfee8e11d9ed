import { html } from './html.ts'
import { type Frame, layout } from './layout.ts'

interface Words {
  readonly title: string
  readonly text: string
}

const words: Readonly<Record<number, Words>> = {
  400: { title: 'That did not work', text: 'The request was not understood. Go back and try again.' },
  401: {
    title: 'Please try again',
    text: 'Your sign-in changed while this was under way. Load the page again, or sign in again.',
  },
  403: { title: 'Not for you', text: 'Your account may not do this.' },
  404: { title: 'Nothing here', text: 'There is no such page, or it is gone.' },
  409: { title: 'That cannot be done', text: 'It does not fit with what is there.' },
  413: { title: 'Too much', text: 'The request was larger than we take.' },
  429: { title: 'Too many tries', text: 'Please wait a while, then try again.' },
  500: { title: 'Something broke', text: 'It is our fault, and it has been noted. Try again in a while.' },
  503: {
    title: 'Back in a moment',
    text: 'We cannot look up your session right now. Nobody was signed in or out. Try again in a while.',
  },
}

const unknown: Words = { title: 'That did not work', text: 'The request could not be answered.' }

/** @param text takes the place of the status's own sentence */
export function errorPage(frame: Frame, status: number, text?: string): string {
  const { title, text: usual } = words[status] ?? unknown
  return layout({
    ...frame,
    title,
    width: 'narrow',
    main: html`<div class="hello">
<p class="status">${status}</p>
<h1>${title}</h1>
<p class="lead">${text ?? usual}</p>
<p class="actions"><a class="button" href="/">To the start page</a></p>
</div>`,
  })
}
