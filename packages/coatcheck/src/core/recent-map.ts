/**
 * A bounded map that forgets what was not asked for lately, in two generations: when the younger is full it becomes the
 * older, and the older is dropped. A look-up is one `Map.get`, where a list in order of use would be rearranged; it
 * stands on the path of every signed-in request.
 */
export class RecentMap<Value extends object> {
  readonly #half: number
  #young = new Map<string, Value>()
  #old = new Map<string, Value>()

  /** @param max most entries kept */
  constructor(max: number) {
    this.#half = Math.ceil(max / 2)
  }

  get(key: string): Value | undefined {
    return this.#young.get(key) ?? this.#renewed(key)
  }

  set(key: string, value: Value): void {
    if (this.#young.size >= this.#half) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, value)
  }

  #renewed(key: string): Value | undefined {
    const value = this.#old.get(key)
    if (value !== undefined) this.set(key, value)
    return value
  }
}
