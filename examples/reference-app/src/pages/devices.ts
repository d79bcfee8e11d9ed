import type { Device } from 'coatcheck'
import { deviceName } from '../device-name.ts'
import { ago, onDateAndTime } from '../times.ts'
import { type Html, html } from './html.ts'
import { deviceIcon } from './icons.ts'
import { csrfField, type Frame, layout } from './layout.ts'
import { time } from './time.ts'

/** The person's sessions, this one first (ASVS 5.0 7.5.2). */
export function devicesPage(frame: Frame, devices: readonly Device[], now: number): string {
  return layout({
    ...frame,
    title: 'Your devices',
    here: '/account/sessions',
    main: html`<h1>Your devices</h1>
<p class="lead">This is where you are signed in. Sign out whatever you do not recognise.</p>
${frame.notice !== undefined && unrecognised}
<ul class="devices">
${devices.map(device => row(frame, device, now))}
</ul>
${devices.length > 1 ? signOutOthers(frame, devices.length - 1) : html`<p class="aside">You are signed in on no other device.</p>`}`,
  })
}

/** Where the store keeps no lists: what can still be done, in plain words. */
export function unlistedPage(frame: Frame): string {
  return layout({
    ...frame,
    title: 'Your devices',
    here: '/account/sessions',
    main: html`<h1>Your devices</h1>
<p class="lead">Where you are signed in cannot be shown here: sessions are kept in Memcached, which keeps no lists. You can still sign out everywhere but here.</p>
<form class="below" method="post" action="/account/sessions/revoke-others">${csrfField(frame)}<button class="danger">Sign out all other devices</button></form>`,
  })
}

function row(frame: Frame, device: Device, now: number): Html {
  const { name, kind } = deviceName(device.userAgent)
  return html`<li class="card device">
<span class="device-icon">${deviceIcon(kind)}</span>
<div class="device-text">
<h2>${name}${device.current && html` <span class="badge">This device</span>`}</h2>
<dl class="facts">
<div><dt>IP address</dt><dd>${device.ip ?? 'unknown'}</dd></div>
<div><dt>Last active</dt><dd>${device.current ? 'now' : time(device.lastSeenAt, ago(device.lastSeenAt, now))}</dd></div>
<div><dt>Signed in on</dt><dd>${time(device.createdAt, onDateAndTime(device.createdAt))}</dd></div>
</dl>
</div>
<form method="post" action="/account/sessions/${device.id}/revoke">${csrfField(frame)}
<button aria-label="Sign out ${name}${device.current && ', this device'}">Sign out</button>
</form>
</li>`
}

/** Whoever was signed in there knows the password, unless the device was only left behind. */
const unrecognised = html`<p class="hint-box">Was that a device that you do not know? Then <a href="/account/settings">change your password</a> as well.</p>`

function signOutOthers(frame: Frame, count: number): Html {
  const words = count === 1 ? 'Sign out the other device' : `Sign out all ${count} other devices`
  return html`<form class="below" method="post" action="/account/sessions/revoke-others">${csrfField(frame)}<button class="danger">${words}</button></form>`
}
