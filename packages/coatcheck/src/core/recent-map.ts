/** What entries weigh, where not only their number counts. */
export interface Weights<Value> {
  /** Of all of them together, at most. */
  readonly most: number
  of(value: Value): number
}

/**
 * A bounded map that forgets what was not asked for lately, in two generations: when the younger is full it becomes the
 * older, and the older is dropped. A look-up is one `Map.get`, where a list in order of use would be rearranged; it
 * stands on the path of every signed-in request.
 */
export class RecentMap<Value extends object> {
  readonly #max: number
  readonly #half: number
  readonly #weights: Weights<Value> | undefined
  #young = new Map<string, Value>()
  #old = new Map<string, Value>()
  /** Of the younger half. */
  #weight = 0

  /** @param max most entries kept */
  constructor(max: number, weights?: Weights<Value>) {
    this.#max = max
    this.#half = Math.max(1, Math.floor(max / 2))
    this.#weights = weights
  }

  get(key: string): Value | undefined {
    return this.#young.get(key) ?? this.#renewed(key)
  }

  /** An entry that weighs more than half of what all may is not kept. */
  set(key: string, value: Value): void {
    this.delete(key)
    const weight = this.#weighed(value)
    if (this.#isOverHalf(weight)) return
    if (this.#young.size >= this.#half || this.#isOverHalf(this.#weight + weight)) this.#age()
    this.#young.set(key, value)
    this.#weight += weight
  }

  delete(key: string): void {
    const value = this.#young.get(key)
    if (value !== undefined) this.#weight -= this.#weighed(value)
    this.#young.delete(key)
    this.#old.delete(key)
  }

  clear(): void {
    this.#young = new Map()
    this.#old = new Map()
    this.#weight = 0
  }

  #weighed(value: Value): number {
    return this.#weights?.of(value) ?? 0
  }

  #isOverHalf(weight: number): boolean {
    return this.#weights !== undefined && weight > this.#weights.most / 2
  }

  #age(): void {
    const young = this.#young
    this.clear()
    // Of one entry there are no two halves.
    if (this.#half * 2 <= this.#max) this.#old = young
  }

  #renewed(key: string): Value | undefined {
    const value = this.#old.get(key)
    if (value !== undefined) this.set(key, value)
    return value
  }
}
