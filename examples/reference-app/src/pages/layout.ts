import { icon, stylesheet } from '../assets.ts'
import type { User } from '../users.ts'
import { type Html, html } from './html.ts'
import { tag } from './icons.ts'

/** What every page is given. */
export interface Frame {
  /** Who is signed in. */
  readonly user?: User | undefined
  /** For forms. Most visitors have none, and so need no cookie: headers decide about their forms (law 10). */
  readonly csrf?: string | undefined
  /** One sentence about what has just been done. */
  readonly notice?: string | undefined
}

export interface Layout extends Frame {
  readonly title: string
  /** Address of the page in the navigation. */
  readonly here?: string
  /** `narrow` for one form, `wide` for tables. */
  readonly width?: 'narrow' | 'wide'
  readonly main: Html
}

/** A whole page. It needs no script and asks no other host for anything. */
export function layout({ title, user, csrf, notice, here, width, main }: Layout): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} · Coatcheck</title>
<link rel="stylesheet" href="${stylesheet.path}">
<link rel="icon" href="${icon.path}" type="image/svg+xml">
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
<header class="top">
<div class="top-in">
<a class="brand" href="/">${tag}<span>Coatcheck</span></a>
${user ? memberNav(user, here, csrf) : visitorNav(here)}
</div>
</header>
<main id="main" class="${width ?? 'medium'}">
${notice !== undefined && html`<p class="notice" role="status">${notice}</p>`}
${main}
</main>
</body>
</html>
`.text
}

/** The token of this session, in each form that its person can send. */
export function csrfField({ csrf }: Frame): Html | undefined {
  return csrf === undefined ? undefined : html`<input type="hidden" name="_csrf" value="${csrf}">`
}

function memberNav(user: User, here: string | undefined, csrf: string | undefined): Html {
  return html`<nav aria-label="Main">
${navLink('/dashboard', 'Dashboard', here)}
${navLink('/account/sessions', 'Devices', here)}
${user.role === 'admin' && navLink('/admin', 'Admin', here)}
</nav>
<form class="sign-out" method="post" action="/logout">${csrfField({ csrf })}<button class="quiet">Sign out</button></form>`
}

function visitorNav(here: string | undefined): Html {
  return html`<nav aria-label="Main" class="end">
${navLink('/login', 'Sign in', here)}
${navLink('/signup', 'Sign up', here)}
</nav>`
}

function navLink(path: string, words: string, here: string | undefined): Html {
  return path === here ? html`<a href="${path}" aria-current="page">${words}</a>` : html`<a href="${path}">${words}</a>`
}
