import { BagImage } from './bag-image.ts'
import type { SessionRecord } from './record.ts'

/** Of larger data none are kept: most of such data are parts, which an image saves nothing on. */
const MOST_CHARACTERS = 4096
/** Of a record that is another object at each read, nothing but its data can be recognised. */
const NEVER = Number.NEGATIVE_INFINITY

/**
 * What a request made of a token's record, for the next one that finds the same. A record is never changed in place: the
 * very same object says the very same thing.
 *
 * One small object, and for nearly every request the only one that is looked at: those of a thousand people are in no
 * cache of the processor, and to fetch each costs as much as all that is done with it.
 */
export class LastLook {
  readonly record: SessionRecord
  /** Until then the session does not end and its use need not be written down; milliseconds since the epoch. */
  readonly settledUntil: number
  /** True once a session was filled with its data. */
  #filled: boolean
  #image: BagImage | undefined

  constructor(record: SessionRecord, settledUntil: number, before: LastLook | undefined) {
    this.record = record
    this.settledUntil = settledUntil
    const isSame = before !== undefined && before.record.data === record.data
    this.#filled = isSame && before.#filled
    this.#image = isSame ? before.#image : undefined
  }

  /** The image of data that come a second time; undefined where they have to be parsed. */
  image(): BagImage | undefined {
    if (this.#filled) this.#image ??= new BagImage(this.record.data)
    else this.#filled = true
    return this.#image
  }
}

/** A token that remembers what it was looked up for. */
export interface Looked {
  /** That of the record, once it was found. */
  id: string
  last?: LastLook | undefined
}

/** True if the token was found to stand for this very record, and nothing has come due since. */
export function isAsBefore({ last }: Looked, record: unknown, now: number): boolean {
  return last !== undefined && last.record === record && now < last.settledUntil
}

/** Remembers a record that this process keeps: at the next read it is the same object, until it changes. */
export function remember(token: Looked, record: SessionRecord, settledUntil: number): void {
  token.last = isKept(record) ? new LastLook(record, settledUntil, token.last) : undefined
  // The store's own string: a map that has it as its key compares no characters.
  token.id = record.id
}

/** The image of a record's data, if they came before. */
export function imageFor(token: Looked, record: SessionRecord): BagImage | undefined {
  const { last } = token
  if (last !== undefined && (last.record === record || last.record.data === record.data)) return last.image()
  token.last = isKept(record) ? new LastLook(record, NEVER, undefined) : undefined
  return token.last?.image()
}

/** A store that changes its records in place breaks the contract; where it may, no object says anything of the next read. */
function isKept(record: SessionRecord): boolean {
  return record.data.length <= MOST_CHARACTERS && Object.isFrozen(record)
}
