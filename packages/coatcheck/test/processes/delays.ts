import { seeded } from '../core/seeded.ts'

/** Waits a random number of turns of the event loop: what a gate does before and after each call, to shuffle races. */
export function delays(seed: number): () => Promise<void> {
  const next = seeded(seed)
  return async () => {
    for (let turns = next(4); turns > 0; turns--) await new Promise(resolve => setImmediate(resolve))
  }
}
