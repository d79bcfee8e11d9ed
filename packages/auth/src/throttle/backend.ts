import { CoatcheckError } from 'coatcheck'

/** A backend that says nothing for so long is down. */
const ANSWERS_WITHIN_MS = 3000
/** So long it is left alone then. */
const SILENT_FOR_MS = 1000

/**
 * The backend of one throttle, and whether it has fallen silent. Then tries are refused at once, and one at a time finds
 * out whether it is back: a driver keeps each command until it is answered, and a flood of tries during a long silence
 * would pile up there without end (law 11).
 */
export class Backend {
  #askAgainAt = 0

  /**
   * Has it count a try.
   *
   * @param late hears of what was counted after we had stopped waiting
   * @throws CoatcheckError `LIMITER_UNAVAILABLE`
   */
  async count<Result>(call: () => Promise<Result>, late: (result: Result) => void): Promise<Result> {
    const now = performance.now()
    if (now < this.#askAgainAt) throw unavailable(new Error('it did not answer a moment ago'))
    if (this.#askAgainAt > 0) this.#askAgainAt = now + ANSWERS_WITHIN_MS
    const answer = call()
    answer.then(this.#heard, this.#heard)
    return answered(
      () => answer,
      () => {
        this.#askAgainAt = performance.now() + SILENT_FOR_MS
        answer.then(late, () => {})
      },
    )
  }

  readonly #heard = (): void => {
    this.#askAgainAt = 0
  }
}

/**
 * What the backend answers, within three seconds.
 *
 * @throws CoatcheckError `LIMITER_UNAVAILABLE`: nobody's password is checked uncounted
 */
export async function answered<Result>(call: () => Promise<Result>, silent: () => void = () => {}): Promise<Result> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    silent()
    reject(new Error(`no answer within ${ANSWERS_WITHIN_MS} ms`))
  }, ANSWERS_WITHIN_MS)
  try {
    return await Promise.race([call(), late])
  } catch (cause) {
    throw unavailable(cause)
  } finally {
    clearTimeout(timer)
  }
}

function unavailable(cause: unknown): CoatcheckError {
  return new CoatcheckError('LIMITER_UNAVAILABLE', 'The login throttle cannot count, so no password is checked. Try again.', {
    cause,
    retryAfter: 1,
  })
}
