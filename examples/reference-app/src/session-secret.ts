import { randomBytes } from 'node:crypto'
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SettingsError } from './settings.ts'

/**
 * Development's secret: made at the first start and kept in `dataDir`, so that people stay signed in over a restart.
 * The file is readable for its owner only.
 *
 * @throws SettingsError if the file holds no secret
 */
export function keptSecret(dataDir: string): string {
  const path = join(dataDir, 'session-secret')
  makeOnce(path)
  const secret = readFileSync(path, 'utf8').trim()
  if (Buffer.byteLength(secret) >= 32) return secret
  throw new SettingsError(`${path} holds no secret of 32 bytes. Remove it (that signs everybody out), or set SESSION_SECRET.`)
}

/** Linked into place whole: of two processes that start at once, one wins, and neither reads half a secret. */
function makeOnce(path: string): void {
  const draft = `${path}.${process.pid}`
  writeFileSync(draft, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 })
  try {
    linkSync(draft, path)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  } finally {
    rmSync(draft)
  }
}
