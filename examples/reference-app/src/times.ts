const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })
const dateTime = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' })
const dateOnly = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeZone: 'UTC' })

const units: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
]

/** Use is written down once in this many milliseconds (`touchEvery`): nothing finer can be said. */
const FINEST_MS = 300_000

/** "in the last 5 minutes", "2 hours ago", "yesterday". */
export function ago(then: Date, now: number): string {
  const passed = now - then.getTime()
  if (passed < FINEST_MS) return 'in the last 5 minutes'
  const [unit, ms] = units.find(([, length]) => passed >= length) ?? ['minute', 60_000]
  return relative.format(-Math.floor(passed / ms), unit)
}

/** "24 Nov 2025, 10:52 UTC": the server does not know where its reader is. */
export function onDateAndTime(when: Date): string {
  return `${dateTime.format(when)} UTC`
}

/** "24 Nov 2025". */
export function onDate(when: Date): string {
  return dateOnly.format(when)
}
