/** A small seeded generator (mulberry32), so that a failing run can be repeated by its number. */
export function seeded(seed: number): (below: number) => number {
  let state = seed
  return below => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/** Waits a random number of turns of the event loop: what a gate does before and after each call, to shuffle races. */
export function delays(seed: number): () => Promise<void> {
  const next = seeded(seed)
  return async () => {
    for (let turns = next(4); turns > 0; turns--) await new Promise(resolve => setImmediate(resolve))
  }
}
