import type { Device } from 'coatcheck'
import { deviceName } from '../device-name.ts'
import { onDateAndTime } from '../times.ts'
import type { User } from '../users.ts'
import { type Html, html } from './html.ts'
import { type Frame, layout } from './layout.ts'
import { time } from './time.ts'

export interface DashboardFacts {
  readonly user: User
  /** The person's sessions, this one first; undefined where the store keeps no lists. */
  readonly devices: readonly Device[] | undefined
}

export function dashboardPage(frame: Frame, { user, devices }: DashboardFacts): string {
  const [here] = devices ?? []
  return layout({
    ...frame,
    title: 'Dashboard',
    here: '/dashboard',
    main: html`<h1>Dashboard</h1>
<p class="lead">You are signed in as <strong class="break">${user.email}</strong>.</p>
<div class="cards">
${here && sessionCard(here)}
<section class="card" aria-labelledby="devices">
<h2 id="devices">Your devices</h2>
${devices ? count(devices) : html`<p>Sign out wherever else you are signed in.</p>`}
<p><a class="button" href="/account/sessions">${devices ? 'See your devices' : 'Sign out other devices'}</a></p>
</section>
${settingsCard}
${user.role === 'admin' && adminCard}
</div>`,
  })
}

function count({ length }: readonly Device[]): Html {
  return html`<p class="figure"><strong>${length}</strong> ${length === 1 ? 'device is' : 'devices are'} signed in</p>`
}

function sessionCard(here: Device): Html {
  return html`<section class="card" aria-labelledby="session">
<h2 id="session">This session</h2>
<dl class="facts">
<div><dt>Device</dt><dd>${deviceName(here.userAgent).name}</dd></div>
<div><dt>Signed in</dt><dd>${time(here.createdAt, onDateAndTime(here.createdAt))}</dd></div>
<div><dt>Ends</dt><dd>${here.remember ? ends(here) : 'with your browser, or after a day without use'}</dd></div>
</dl>
</section>`
}

function ends({ expiresAt }: Device): Html {
  return time(expiresAt, onDateAndTime(expiresAt))
}

const settingsCard = html`<section class="card" aria-labelledby="settings">
<h2 id="settings">Password and e-mail</h2>
<p>Choose a new password, or another address to sign in with.</p>
<p><a class="button" href="/account/settings">Change</a></p>
</section>`

const adminCard = html`<section class="card" aria-labelledby="administration">
<h2 id="administration">Administration</h2>
<p>See who has an account, and end the sessions of one person or of everybody.</p>
<p><a class="button" href="/admin">Open</a></p>
</section>`
