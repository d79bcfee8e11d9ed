/** Ids that one statement asks for at most. */
const MOST_IDS = 100

/** Who waits for an id's row. */
interface Waiting<Row> {
  readonly resolve: (row: Row | undefined) => void
  readonly reject: (error: unknown) => void
}

/**
 * Reads that are asked for in one turn of the event loop share one statement: the driver's work and the round trip are
 * paid once for all of them, and the busier the process, the more share it. None waits for another one's answer, and each
 * is sent after it was asked for, so that it is as strict as if it went alone.
 */
export class SharedReads<Row> {
  readonly #askAll: (ids: readonly string[]) => Promise<ReadonlyMap<string, Row>>
  #waiting = new Map<string, Waiting<Row>[]>()

  /** @param askAll gives the rows that there are, by id */
  constructor(askAll: (ids: readonly string[]) => Promise<ReadonlyMap<string, Row>>) {
    this.#askAll = askAll
  }

  read(id: string): Promise<Row | undefined> {
    return new Promise((resolve, reject) => {
      // Behind all that has come in over the network: the requests of one turn are many where it matters.
      if (this.#waiting.size === 0) setImmediate(() => this.#send())
      const others = this.#waiting.get(id)
      if (others === undefined) this.#waiting.set(id, [{ resolve, reject }])
      else others.push({ resolve, reject })
      if (this.#waiting.size === MOST_IDS) this.#send()
    })
  }

  #send(): void {
    const waiting = this.#waiting
    this.#waiting = new Map()
    // Sent already, because there were enough of them.
    if (waiting.size === 0) return
    this.#askAll([...waiting.keys()]).then(
      rows => forEach(waiting, (id, { resolve }) => resolve(rows.get(id))),
      error => forEach(waiting, (_, { reject }) => reject(error)),
    )
  }
}

function forEach<Row>(
  waiting: ReadonlyMap<string, readonly Waiting<Row>[]>,
  act: (id: string, each: Waiting<Row>) => void,
): void {
  for (const [id, all] of waiting) for (const each of all) act(id, each)
}
