import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'

/** Where pictures of the pages go, for people to look at. Ignored by git. */
export const PICTURES = join(import.meta.dirname, '../../../node_modules/.cache/coatcheck/reference-app')

const sizes = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } } as const
const schemes = ['light', 'dark'] as const

/** Each way in which a page is looked at. */
export const views = (Object.keys(sizes) as (keyof typeof sizes)[]).flatMap(size => schemes.map(scheme => ({ size, scheme })))
export type View = (typeof views)[number]

/** What a browser context needs to look that way. */
export function optionsFor({ size, scheme }: View): BrowserContextOptions {
  return { viewport: sizes[size], colorScheme: scheme }
}

/** Takes a picture of the whole page. */
export async function takePicture(page: Page, name: string, { size, scheme }: View): Promise<void> {
  mkdirSync(PICTURES, { recursive: true })
  await page.screenshot({ path: join(PICTURES, `${name}-${size}-${scheme}.png`), fullPage: true })
}

/** True if nothing sticks out at the side. */
export async function fitsInWidth(page: Page): Promise<boolean> {
  return (await page.evaluate('document.documentElement.scrollWidth')) === page.viewportSize()?.width
}

export type { Browser }
