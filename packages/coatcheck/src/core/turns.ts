import { CoatcheckError } from './errors.ts'

/** How many may wait for one key, and for how long (law 11). */
export interface TurnLimits {
  readonly most: number
  readonly longestMs: number
}

/** Who is at work on a key, and who waits for it. */
interface Line<Shared> {
  readonly shared: Shared
  busy: boolean
  /** In the order in which they came; calling one gives it its turn. */
  readonly waiting: Set<() => void>
}

/**
 * Tasks of one key, one after another; those of different keys do not know of each other.
 *
 * `Shared` is what the tasks of one line leave to those behind them. It is forgotten with the line.
 */
export class Turns<Shared> {
  readonly #limits: TurnLimits
  readonly #begin: () => Shared
  readonly #lines = new Map<string, Line<Shared>>()

  constructor(limits: TurnLimits, begin: () => Shared) {
    this.#limits = limits
    this.#begin = begin
  }

  /**
   * Performs `task` when all before it are done.
   *
   * @throws CoatcheckError `SESSION_CONFLICT` where too many wait already, or the turn did not come in time: the task is
   *   then never performed
   */
  async take<Result>(key: string, task: (shared: Shared) => Promise<Result>): Promise<Result> {
    const line = this.#lines.get(key) ?? this.#open(key)
    if (line.busy) await this.#turn(line.waiting)
    line.busy = true
    try {
      return await task(line.shared)
    } finally {
      this.#leave(key, line)
    }
  }

  #open(key: string): Line<Shared> {
    const line = { shared: this.#begin(), busy: false, waiting: new Set<() => void>() }
    this.#lines.set(key, line)
    return line
  }

  #turn(waiting: Line<Shared>['waiting']): Promise<void> {
    const { most, longestMs } = this.#limits
    return new Promise((resolve, reject) => {
      if (waiting.size >= most) return reject(busy())
      const enter = () => {
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(() => waiting.delete(enter) && reject(busy()), longestMs).unref()
      waiting.add(enter)
    })
  }

  #leave(key: string, { waiting }: Line<Shared>): void {
    const [next] = waiting
    if (next === undefined) return void this.#lines.delete(key)
    waiting.delete(next)
    next()
  }
}

function busy(): CoatcheckError {
  return new CoatcheckError(
    'SESSION_CONFLICT',
    'Too many requests wait to change this session. Nothing of this one was saved; try again.',
    { retryAfter: 1 },
  )
}
