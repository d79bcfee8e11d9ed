import { find, type Missing, type Program } from './machine.ts'

const wanted = {
  commands: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'],
  debian: ['chromium', 'fonts-liberation'],
}

/** A browser of this machine for `playwright-core` (`executablePath`). */
export function findChromium(): Promise<Program | Missing> {
  return find(wanted)
}

/** The sandbox needs rights that root in a container has not: the browser visits nothing but what a test serves. */
export const CHROMIUM_ARGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking']
