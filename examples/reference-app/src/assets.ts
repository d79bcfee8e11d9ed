import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Router } from 'express'

interface Asset {
  readonly path: string
  readonly type: string
  readonly bytes: Buffer
}

const A_YEAR_S = 31_536_000

/** The files that pages link to. A file's name holds a hash of its content, so that it may be cached for good. */
export const stylesheet = asset('style.css', 'text/css; charset=utf-8')
export const icon = asset('icon.svg', 'image/svg+xml')

/** Serves them, without any session. */
export function assetRoutes(): Router {
  const router = Router()
  for (const { path, type, bytes } of [stylesheet, icon]) {
    router.get(path, (_req, res) => {
      res.set({ 'Content-Type': type, 'Cache-Control': `public, max-age=${A_YEAR_S}, immutable` }).end(bytes)
    })
  }
  return router
}

function asset(name: string, type: string): Asset {
  const bytes = readFileSync(join(import.meta.dirname, 'assets', name))
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 12)
  return { path: `/assets/${name.replace('.', `.${hash}.`)}`, type, bytes }
}
