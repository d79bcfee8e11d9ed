import { find, type Missing, type Program } from './machine.ts'

const wanted = {
  commands: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'],
  debian: ['chromium', 'fonts-liberation'],
}

/** A browser of this machine for `playwright-core` (`executablePath`). */
export function findChromium(): Promise<Program | Missing> {
  return find(wanted)
}
