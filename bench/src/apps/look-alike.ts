import { randomBytes } from 'node:crypto'

/** A Cookie header of the same length and shape as ours, and different for everybody. */
export function lookAlikeCookie(): string {
  const part = (bytes: number) => randomBytes(bytes).toString('base64url')
  return `sid=${part(16)}.${part(32)}.${part(32)}`
}
