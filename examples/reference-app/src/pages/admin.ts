import { onDate } from '../times.ts'
import type { User } from '../users.ts'
import { type Html, html } from './html.ts'
import { csrfField, type Frame, layout } from './layout.ts'
import { time } from './time.ts'

/** What has to be typed before everybody is signed out. */
export const EVERYONE = 'sign out everyone'

interface UserRow {
  readonly user: User
  /** How many sessions are alive; undefined where the store keeps no lists. */
  readonly sessions: number | undefined
}

export interface AdminFacts {
  readonly admin: User
  readonly rows: readonly UserRow[]
  /** Where the next page begins; null on the last. */
  readonly next: string | null
  readonly search: string
  /** What was wrong with the confirmation. */
  readonly problem?: string | undefined
}

export function adminPage(frame: Frame, { admin, rows, next, search, problem }: AdminFacts): string {
  return layout({
    ...frame,
    title: 'Administration',
    here: '/admin',
    width: 'wide',
    main: html`<h1>Administration</h1>
<section aria-labelledby="people">
<div class="row-head">
<h2 id="people">People</h2>
<form class="search" method="get" action="/admin" role="search">
<label class="hidden" for="q">Search by e-mail address</label>
<input id="q" name="q" type="search" value="${search}" placeholder="Search by e-mail" autocomplete="off" autocapitalize="none" spellcheck="false">
<button>Search</button>
</form>
</div>
${rows.length === 0 ? html`<p class="card empty">Nobody has such an address.</p>` : table(frame, rows, admin)}
${rows.some(({ sessions }) => sessions === undefined) && unlisted}
${next !== null && html`<p class="below"><a class="button" href="/admin?${pageQuery(search, next)}">Next page</a></p>`}
</section>
${everyone(frame, problem)}`,
  })
}

const unlisted = html`<p class="aside">How many sessions somebody has is not known: they are kept in Memcached, which keeps no lists. They can be ended all the same.</p>`

function pageQuery(search: string, after: string): string {
  return new URLSearchParams({ ...(search === '' ? {} : { q: search }), after }).toString()
}

function table(frame: Frame, rows: readonly UserRow[], admin: User): Html {
  return html`<table class="people">
<thead><tr><th scope="col">E-mail</th><th scope="col">Role</th><th scope="col">Joined</th><th scope="col">Sessions</th><th scope="col"><span class="hidden">Actions</span></th></tr></thead>
<tbody>
${rows.map(({ user, sessions }) => person(frame, user, sessions, user.id === admin.id))}
</tbody>
</table>`
}

function person(frame: Frame, user: User, sessions: number | undefined, isSelf: boolean): Html {
  return html`<tr>
<th scope="row" class="break">${user.email}${isSelf && html` <span class="badge">You</span>`}${user.disabled && html` <span class="badge off">Disabled</span>`}</th>
<td data-label="Role">${user.role}</td>
<td data-label="Joined">${time(user.createdAt, onDate(user.createdAt))}</td>
<td data-label="Sessions">${sessions ?? 'not known'}</td>
<td class="acts"><div class="acts-in">
<form method="post" action="/admin/users/${user.id}/revoke-sessions">${csrfField(frame)}<button aria-label="End all sessions of ${user.email}"${sessions === 0 && html` disabled`}>End sessions</button></form>
${!isSelf && html`${ability(frame, user)}${deletion(frame, user)}`}
</div></td>
</tr>`
}

function ability(frame: Frame, { id, email, disabled }: User): Html {
  const [act, word] = disabled ? ['enable', 'Enable'] : ['disable', 'Disable']
  return html`<form method="post" action="/admin/users/${id}/${act}">${csrfField(frame)}<button class="toggle" aria-label="${word} ${email}">${word}</button></form>`
}

/** Two steps, without a script. */
function deletion(frame: Frame, { id, email }: User): Html {
  return html`<details class="confirm">
<summary aria-label="Delete ${email}">Delete…</summary>
<form method="post" action="/users/${id}/delete">${csrfField(frame)}
<p>The account goes for good, and all its sessions end.</p>
<button class="danger" aria-label="Delete ${email} for good">Delete for good</button>
</form>
</details>`
}

function everyone(frame: Frame, problem: string | undefined): Html {
  return html`<section class="card danger-zone" aria-labelledby="everyone">
<h2 id="everyone">Sign everyone out</h2>
<p>Ends every session of everybody at once, yours too: for the day on which something leaked. Nothing else is lost, and people can sign in again.</p>
<form method="post" action="/admin/revoke-everyone" class="inline">${csrfField(frame)}
<div class="field">
<label for="confirm">To confirm, type <span class="typed">${EVERYONE}</span></label>
<input id="confirm" name="confirm" autocomplete="off" autocapitalize="none" spellcheck="false"${problem !== undefined && html` aria-invalid="true" aria-describedby="confirm-error"`}>
</div>
<button class="danger">Sign everyone out</button>
</form>
${problem !== undefined && html`<p class="field-error" id="confirm-error" role="alert">${problem}</p>`}
</section>`
}
