import type { DeviceName } from '../device-name.ts'
import { type Html, html } from './html.ts'

/** The mark: a coat-check tag. Drawn in the page, since it takes the text's colour. */
export const tag = html`<svg class="mark" viewBox="0 0 32 32" aria-hidden="true"><path fill="currentColor" fill-rule="evenodd" d="M8 2h16a4 4 0 0 1 4 4v20a4 4 0 0 1-4 4H8a4 4 0 0 1-4-4V6a4 4 0 0 1 4-4zm8 4a3 3 0 1 0 0 6 3 3 0 0 0 0-6z"/><path class="mark-lines" d="M11 18h10M11 23h10"/></svg>`

const shapes: Readonly<Record<DeviceName['kind'], Html>> = {
  desktop: html`<rect x="3" y="4" width="18" height="12" rx="2"/><path d="M8 20h8M12 16v4"/>`,
  phone: html`<rect x="7" y="2.5" width="10" height="19" rx="2.5"/><path d="M11 18.5h2"/>`,
  tablet: html`<rect x="4.5" y="2.5" width="15" height="19" rx="2.5"/><path d="M11 18.5h2"/>`,
  program: html`<rect x="3" y="4" width="18" height="16" rx="2"/><path d="m7 9 3 3-3 3M13 15h4"/>`,
}

/** A drawing of the kind of device; the name beside it says the same in words. */
export function deviceIcon(kind: DeviceName['kind']): Html {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">${shapes[kind]}</svg>`
}
