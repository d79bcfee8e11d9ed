import type { Response } from 'express'

/**
 * The answer of every Express subject but ours, with the two headers that ours sets by itself, so that all responses
 * have the same bytes.
 */
export function answer(response: Response, userId: string): void {
  response.setHeader('Cache-Control', 'private, no-store')
  response.setHeader('Vary', 'Cookie')
  response.json({ userId })
}
