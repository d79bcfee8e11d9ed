import { CoatcheckError } from '../../core/errors.ts'

const BUSY = 5
const LOCKED = 6
const FULL = 13
/** SQLITE_IOERR_WRITE: what a quota, or a limit of the file's size, is to SQLite. Not one of a sync, which may come too late. */
const WRITE_FAILED = 10 | (3 << 8)

const REMEDY: Readonly<Record<string, string>> = {
  3: 'may not be opened. Give this process the right to read and write the file and its folder.',
  [BUSY]:
    'stayed locked by another connection. Keep transactions on this file short, give Coatcheck a file of its own, or raise busyTimeout.',
  [LOCKED]: 'stayed locked within this process. Give Coatcheck a file of its own, or raise busyTimeout.',
  7: 'needs more memory than there is.',
  8: 'cannot be written. Give this process the right to write the file, its folder, and the -wal and -shm files beside it.',
  10: 'cannot be read or written: the disk or file system failed. Look at its free space, quota and health.',
  11: 'is damaged. Move it away (everybody signs in anew), or restore a copy.',
  [FULL]: 'cannot grow: the disk is full. Free some space; what was saved before is safe.',
  14: 'cannot be opened. The path must name a file in a folder that exists and that this process may write to.',
  23: 'may not be used like this by this process.',
  26: 'is not an SQLite database. Give sqliteStore a path of its own.',
}

/** What the operating system says about creating the file, by its code. */
const FILE_REMEDY: Readonly<Record<string, string>> = {
  ENOENT: 'cannot be created: its folder does not exist. Make the folder first.',
  ENOTDIR: 'cannot be created: a part of its path is a file and no folder.',
  EACCES: 'cannot be created: this process may not write to its folder.',
  EPERM: 'cannot be created: this process may not write to its folder.',
  EROFS: 'cannot be created: its file system is read-only.',
  ENOSPC: 'cannot be created: the disk is full.',
}

/** True if another connection holds the lock that was asked for: nothing was done, and trying again is right. */
export function isBusy(error: unknown): boolean {
  const code = primaryCode(error)
  return code === BUSY || code === LOCKED
}

/**
 * The driver's error as ours, code `STORE_UNAVAILABLE`, with what to do. `notDone` where SQLite surely wrote nothing: the
 * lock was never had, or there was no room for the transaction, which was then rolled back.
 *
 * The driver's own text stays in the cause: SQLite's messages name tables and columns, never the values bound to them.
 */
export function storeError(error: unknown, path: string): CoatcheckError {
  if (error instanceof CoatcheckError) return error
  return new CoatcheckError('STORE_UNAVAILABLE', `The session database ${JSON.stringify(path)} ${reason(error)}`, {
    cause: error,
    notDone: isBusy(error) || primaryCode(error) === FULL || resultCode(error) === WRITE_FAILED,
  })
}

/** The refusal of a write for which there is no room in the queue. */
export function tooManyWait(path: string): CoatcheckError {
  const message = `The session database ${JSON.stringify(path)} has too many writes waiting: the file has been locked for a while, or the disk is too slow for them.`
  return new CoatcheckError('STORE_UNAVAILABLE', message, { retryAfter: 1, notDone: true })
}

function reason(error: unknown): string {
  const code = primaryCode(error)
  if (code !== undefined) return REMEDY[code] ?? `failed: ${textOf(error)} (SQLite code ${code}).`
  const name = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (name === 'ERR_INVALID_STATE') return 'was closed: nothing may use the store after close().'
  return FILE_REMEDY[name] ?? `failed: ${textOf(error)}.`
}

/** SQLite's result code without its extension (https://www.sqlite.org/rescode.html). */
function primaryCode(error: unknown): number | undefined {
  const code = resultCode(error)
  return code === undefined ? undefined : code & 0xff
}

function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return undefined
  return error.errcode
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
