import { isCoatcheckError } from 'coatcheck'

/** What was asked for; undefined where the store keeps no lists of sessions, as Memcached does not. */
export async function ifListed<Listed>(asked: Promise<Listed>): Promise<Listed | undefined> {
  try {
    return await asked
  } catch (error) {
    if (isCoatcheckError(error) && error.code === 'NOT_SUPPORTED') return undefined
    throw error
  }
}
