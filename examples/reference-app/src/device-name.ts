import Bowser from 'bowser'

/** How a device list shows a browser. */
export interface DeviceName {
  /** "Chrome on macOS". Never the whole User-Agent. */
  readonly name: string
  readonly kind: 'desktop' | 'phone' | 'tablet' | 'program'
}

const kinds: Readonly<Record<string, DeviceName['kind']>> = { desktop: 'desktop', mobile: 'phone', tablet: 'tablet' }

/** A short name for what sent this User-Agent header. It is a claim, good enough to recognise one's own devices by. */
export function deviceName(userAgent: string | null): DeviceName {
  if (!userAgent) return { name: 'Unknown device', kind: 'program' }
  const { browser, os, platform } = Bowser.parse(userAgent)
  const kind = kinds[platform.type ?? ''] ?? 'program'
  if (browser.name && os.name) return { name: `${browser.name} on ${os.name}`, kind }
  return { name: browser.name || os.name || productOf(userAgent), kind }
}

/** "curl" of "curl/8.5.0". */
function productOf(userAgent: string): string {
  return /^[\w.-]{1,30}(?=\/|$)/.exec(userAgent)?.[0] ?? 'Unknown device'
}
