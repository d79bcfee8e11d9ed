import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { BrowserContextOptions, Page } from 'playwright-core'
import { isLong } from '../../../test/long.ts'

/** Where pictures of the pages go, for people to look at. Ignored by git. */
const PICTURES = join(import.meta.dirname, '../../../node_modules/.cache/coatcheck/reference-app')

const sizes = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } } as const
const schemes = ['light', 'dark'] as const

/** Each way in which a page is looked at. */
export const views = (Object.keys(sizes) as (keyof typeof sizes)[]).flatMap(size => schemes.map(scheme => ({ size, scheme })))
export type View = (typeof views)[number]

/** What a browser context needs to look that way. */
export function optionsFor({ size, scheme }: View): BrowserContextOptions {
  return { viewport: sizes[size], colorScheme: scheme }
}

if (!isLong) console.log('pictures of the pages: NOT TAKEN: npm run test:long takes them')

/** Takes a picture of the whole page, in test:long: it costs more than all that is judged here. */
export async function takePicture(page: Page, name: string, { size, scheme }: View): Promise<void> {
  if (!isLong) return
  mkdirSync(PICTURES, { recursive: true })
  const shot = () => page.screenshot({ path: join(PICTURES, `${name}-${size}-${scheme}.png`), fullPage: true })
  // On a busy machine Chromium now and then has no frame to give; the picture is judged by nobody but people.
  await shot().catch(shot)
}

/** What sticks out at the side, as tag names; empty if all fits. */
export async function overflowing(page: Page): Promise<string[]> {
  const found = await page.evaluate(
    `[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName)`,
  )
  return found as string[]
}

/**
 * Texts whose contrast with what is behind them is under 4.5 to 1 (WCAG 2.2, 1.4.3), with the ratio. Disabled controls
 * are let off, as there.
 */
export async function faintTexts(page: Page): Promise<string[]> {
  return (await page.evaluate(FAINT)) as string[]
}

const FAINT = `(() => {
  const numbers = color => color.match(/[\\d.]+/g).map(Number)
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0)
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const color = numbers(getComputedStyle(e).backgroundColor)
      if (color.length === 3 || color[3] === 1) return color
    }
    return [255, 255, 255]
  }
  const shown = e => e.checkVisibility() && !e.closest('.hidden, .skip, :disabled') && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())
  return [...document.querySelectorAll('body *')].filter(shown).map(e => {
    const [a, b] = [light(numbers(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x)
    return [e.textContent.trim().slice(0, 40), (a + 0.05) / (b + 0.05)]
  }).filter(([, ratio]) => ratio < 4.5).map(([text, ratio]) => text + ': ' + ratio.toFixed(2))
})()`
