import { type Html, html } from './html.ts'

/** A moment in words, with its exact value for programs and on hover. */
export function time(when: Date, words: string): Html {
  const exact = when.toISOString()
  return html`<time datetime="${exact}" title="${exact}">${words}</time>`
}
