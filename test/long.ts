/** True in `npm run test:long`, which runs in full what `npm test` samples: that has to end within ten minutes. */
export const isLong = process.env.COATCHECK_LONG === '1'

/** All of them in a long run; else those that are named, and a line that says what is left out. */
export function sample<Item extends { readonly name: string }>(what: string, all: readonly Item[], names: readonly string[]) {
  if (isLong) return all
  const left = all.filter(({ name }) => !names.includes(name)).map(({ name }) => name)
  if (left.length > 0) console.log(`${what}: NOT RUN over ${left.join(', ')}: npm run test:long runs them`)
  const chosen = all.filter(({ name }) => names.includes(name))
  if (chosen.length === 0 && all.length > 0) throw new Error(`${what}: there is none of the names ${names.join(', ')}.`)
  return chosen
}
