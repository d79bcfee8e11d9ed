import { CoatcheckError } from '../../core/errors.ts'
import { decodeRecord, encodeRecord, type SessionRecord } from '../../core/record.ts'

/** What is stored of one session. */
export interface Item {
  readonly record: SessionRecord
  /** Its person's epochs under which it lives: one, two while the others are being ended, none for a visitor. */
  readonly epochs: readonly string[]
  readonly forgetAt: number
}

/** What is stored of one person: without it none of their sessions lives. */
export interface Person {
  readonly epoch: string
  /** Whether a revocation set the epoch. The first one of all is nothing that a login could have missed. */
  readonly revoked: boolean
  /** When the item may be forgotten: no session of theirs may outlive it. */
  readonly until: number
}

/** One of a person's sessions, as their index names it. */
export interface Entry {
  readonly id: string
  readonly endsAt: number
}

const ITEM = 'm1'
const PERSON = 'p1'
const INDEX = 'i1'
const SEPARATOR = '\0'
/** What takes the place of a record that is ended by compare-and-set; it expires as it is written. */
export const TOMBSTONE = 'ended'

/** The largest expiry that the protocol takes, on 2038-01-19. */
const LAST_SECOND = 2 ** 31 - 1
/** Up to here memcached takes an expiry for a number of seconds from now. */
const LONGEST_RELATIVE = 30 * 86_400

/**
 * When to forget (milliseconds since the epoch) as memcached is told it: whole Unix seconds, never early, never 0 for what
 * is to end, and never so small that it would count from now. Past 2038 there is none (0): the least used goes first.
 */
export function expiryOf(forgetAt: number): number {
  // One more, for its own clock is cut to seconds, and so is the moment when it started.
  const seconds = Math.ceil(forgetAt / 1000) + 1
  return seconds > LAST_SECOND ? 0 : Math.max(seconds, LONGEST_RELATIVE + 1)
}

export function encodeItem({ record, epochs, forgetAt }: Item): string {
  return [ITEM, epochs.join(), forgetAt.toString(36), encodeRecord(record)].join(SEPARATOR)
}

/** @throws CoatcheckError `FOREIGN_RECORD` for what `encodeItem` did not make */
export function decodeItem(id: string, text: string): Item {
  const [magic, epochs = '', forgetAt = '', ...record] = text.split(SEPARATOR)
  if (magic !== ITEM || Number.isNaN(timeOf(forgetAt))) throw foreign(`the session id ${id}`)
  return {
    record: decodeRecord(id, record.join(SEPARATOR)),
    epochs: epochs === '' ? [] : epochs.split(','),
    forgetAt: timeOf(forgetAt),
  }
}

export function encodePerson({ epoch, revoked, until }: Person): string {
  return [PERSON, epoch, revoked ? 'r' : '', until.toString(36)].join(SEPARATOR)
}

/** @throws CoatcheckError `FOREIGN_RECORD` for what `encodePerson` did not make */
export function decodePerson(text: string): Person {
  const [magic, epoch, revoked, until = ''] = text.split(SEPARATOR)
  if (magic !== PERSON || !epoch || Number.isNaN(timeOf(until))) throw foreign("a person's key")
  return { epoch, revoked: revoked === 'r', until: timeOf(until) }
}

/** The generation that is stored. @throws CoatcheckError `FOREIGN_RECORD` for what cannot be one */
export function decodeGeneration(text: string): string {
  if (/^[\w-]{8,32}$/.test(text)) return text
  throw foreign('the key of the generation')
}

export function encodeIndex(entries: readonly Entry[]): string {
  return [INDEX, ...entries.map(({ id, endsAt }) => `${id} ${endsAt.toString(36)}`)].join(SEPARATOR)
}

/** The index decides nothing: what is not one is an empty one. */
export function decodeIndex(text: string): readonly Entry[] {
  const [magic, ...entries] = text.split(SEPARATOR)
  if (magic !== INDEX) return []
  return entries.map(entry => {
    const [id = '', endsAt = ''] = entry.split(' ')
    return { id, endsAt: timeOf(endsAt) }
  })
}

/** NaN for what is no time. */
function timeOf(text: string): number {
  return Number.parseInt(text, 36)
}

function foreign(where: string): CoatcheckError {
  return new CoatcheckError(
    'FOREIGN_RECORD',
    `Memcached holds a value that Coatcheck did not write under ${where}. Give Coatcheck a prefix or a server of its own.`,
  )
}
