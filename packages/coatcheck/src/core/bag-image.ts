import type { Session } from './session.ts'

type Fields = Record<string, unknown>

/**
 * A session's data, parsed once for all the requests that find it unchanged: most bags hold only plain values, and
 * those need neither parsing to be filled nor writing as JSON to be compared. Values with parts of their own are kept as
 * JSON text, so that no two requests ever share one (DESIGN §6, "nothing leaks by reference").
 */
export class BagImage {
  readonly #keys: readonly string[]
  readonly #values: readonly unknown[]
  /** The JSON of a value with parts; undefined for a plain one. */
  readonly #texts: readonly (string | undefined)[]

  constructor(json: string) {
    const data = JSON.parse(json) as Fields
    this.#keys = Object.keys(data)
    this.#texts = this.#keys.map(key => (isPlain(data[key]) ? undefined : JSON.stringify(data[key])))
    this.#values = this.#keys.map((key, i) => (this.#texts[i] === undefined ? data[key] : undefined))
  }

  /** Puts the data into an empty session. */
  fill(session: Session): void {
    const bag = session as unknown as Fields
    for (let i = 0; i < this.#keys.length; i++) {
      const text = this.#texts[i]
      bag[this.#keys[i] as string] = text === undefined ? this.#values[i] : JSON.parse(text)
    }
  }

  /** True if the session surely holds this very data. False is no answer: the JSON texts have to be compared. */
  surelyIn(session: Session): boolean {
    const bag = session as unknown as Fields
    let count = 0
    for (const _key in bag) count++
    if (count !== this.#keys.length) return false
    for (let i = 0; i < count; i++) {
      const value = bag[this.#keys[i] as string]
      const text = this.#texts[i]
      if (text === undefined ? value !== this.#values[i] : jsonOf(value) !== text) return false
    }
    return true
  }
}

/** undefined for what JSON cannot hold: whoever writes it down says so, with its own error. */
function jsonOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}

function isPlain(value: unknown): boolean {
  return typeof value !== 'object' || value === null
}

/** The data that its session had last, and their image once they came a second time. */
export interface LastData {
  readonly json: string
  image: BagImage | undefined
}

/** What is remembered between requests, a known token, and what was in its session. */
export interface Remembered {
  last?: LastData | undefined
}

/** Of larger data none are kept: most of such data are parts, which an image saves nothing on. */
const MOST_CHARACTERS = 4096

/** The image of data that come a second time; undefined where they have to be parsed. */
export function imageOf(json: string, remembered: Remembered): BagImage | undefined {
  const { last } = remembered
  if (last?.json === json) {
    last.image ??= new BagImage(json)
    return last.image
  }
  remembered.last = json.length > MOST_CHARACTERS ? undefined : { json, image: undefined }
  return undefined
}
