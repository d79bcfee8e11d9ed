import type { Session } from './session.ts'

type Fields = Record<string, unknown>

/**
 * A session's data, parsed once for all the requests that find it unchanged: most bags hold only plain values, and
 * those need neither parsing to be filled nor writing as JSON to be compared. Values with parts of their own are kept as
 * JSON text, so that no two requests ever share one (DESIGN §6, "nothing leaks by reference").
 */
export class BagImage {
  /** In the place of a value with parts stands undefined, so that the order of the keys is kept. */
  readonly #data: Fields
  /** JSON by key; undefined where all values are plain. */
  readonly #parts: ReadonlyMap<string, string> | undefined
  readonly #size: number

  constructor(json: string) {
    this.#data = JSON.parse(json) as Fields
    const keys = Object.keys(this.#data)
    this.#size = keys.length
    const parts = keys.filter(key => !isPlain(this.#data[key]))
    this.#parts = parts.length === 0 ? undefined : new Map(parts.map(key => [key, JSON.stringify(this.#data[key])]))
    for (const key of parts) this.#data[key] = undefined
  }

  /** Puts the data into an empty session. */
  fill(session: Session): void {
    const bag = session as unknown as Fields
    for (const key in this.#data) {
      const text = this.#parts?.get(key)
      bag[key] = text === undefined ? this.#data[key] : JSON.parse(text)
    }
  }

  /** True if the session surely holds this very data. False is no answer: the JSON texts have to be compared. */
  surelyIn(session: Session): boolean {
    const bag = session as unknown as Fields
    let count = 0
    for (const _key in bag) count++
    if (count !== this.#size) return false
    for (const key in this.#data) {
      const text = this.#parts?.get(key)
      if (text === undefined ? bag[key] !== this.#data[key] : jsonOf(bag[key]) !== text) return false
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
