/** One promise, as data, so that any test runner can run it: `for (const law of laws) test(law.name, law.run)`. */
export interface Law {
  /** Reads like a promise; begins with "law N: " where it proves one of the design's numbered laws. */
  readonly name: string
  /** The number of the law that it proves, if it proves one. */
  readonly law?: number
  /** Why this implementation cannot keep it, if it said so; `run` then does nothing. The name says it too. */
  readonly skipped?: string
  /** Rejects with an AssertionError if the promise is not kept. */
  run(): Promise<void>
}

/** A promise that an implementation cannot keep, and why. */
export interface Skip {
  /** The law's name, exactly. */
  readonly name: string
  readonly reason: string
}

/**
 * The laws, with those named in `skips` turned into entries that say why they do not run.
 *
 * @throws Error if a skip names no law: a skip must not outlive what it was made for.
 */
export function withSkips(laws: readonly Law[], skips: readonly Skip[]): readonly Law[] {
  const unknown = skips.find(skip => !laws.some(law => law.name === skip.name))
  if (unknown) throw new Error(`skip names no law: ${JSON.stringify(unknown.name)}`)
  return laws.map(law => skipped(law, skips.find(skip => skip.name === law.name)?.reason))
}

function skipped(law: Law, reason: string | undefined): Law {
  if (reason === undefined) return law
  return { ...law, name: `${law.name} (NOT RUN: ${reason})`, skipped: reason, run: async () => {} }
}
