import type { MaybePromise, SessionStore } from '../core/store.ts'
import { type Law, type Skip, withSkips } from './law.ts'
import { agingLaws } from './laws/aging.ts'
import { creationLaws } from './laws/creation.ts'
import { endingLaws } from './laws/ending.ts'
import { listingLaws } from './laws/listing.ts'
import { raceLaws } from './laws/races.ts'
import { savingLaws } from './laws/saving.ts'
import { watchLaws } from './laws/watch.ts'

/** A fresh, empty place for the records of one law. */
export interface StoreSpace {
  readonly store: SessionStore
  /**
   * Another store object over the same records, over a connection of its own, as another process would have. A store that
   * lives in one process gives `store` itself. Called at most once.
   */
  second(): MaybePromise<SessionStore>
  /** Puts a value that Coatcheck did not write where the record of this id would be. */
  plant?(id: string): MaybePromise<void>
  /** Closes both stores and removes the records. */
  close(): MaybePromise<void>
}

/** How the laws get at a store. */
export interface StoreHarness {
  /**
   * Called once for each law. Where starting a server is slow, start it once and open a new prefix, schema or file here.
   */
  open(): MaybePromise<StoreSpace>
  /** Why the store has no `prune`, if it has none: its backend forgets by itself. */
  readonly noPrune?: string
  /** Why no space has a `plant`, if none has: nothing foreign can be where a record would be. */
  readonly noPlant?: string
  /** Laws that this store cannot keep. What it declares in `cannot` needs no skip: the refusal is proven instead. */
  readonly skip?: readonly Skip[]
}

/** A space as a law sees it. */
export interface OpenSpace {
  readonly store: SessionStore
  second(): Promise<SessionStore>
  plant?(id: string): Promise<void>
}

/** A law before it has got its space. */
export interface StoreLaw {
  readonly name: string
  readonly law?: number
  prove(space: OpenSpace, harness: StoreHarness): Promise<void>
}

/**
 * Every promise of the store contract, as data for any test runner.
 *
 * ```ts
 * for (const law of storeLaws({ open: () => openMyStore() })) test(law.name, law.run)
 * ```
 *
 * Each law opens its own space and closes it. Three wait some two seconds for a short life to run out; with a local
 * server all of them take some ten seconds.
 */
export function storeLaws(harness: StoreHarness): readonly Law[] {
  const chapters = [creationLaws, savingLaws, endingLaws, listingLaws, raceLaws, watchLaws, agingLaws]
  const laws = chapters.flat().map(law => runnable(law, harness))
  return withSkips(laws, harness.skip ?? [])
}

function runnable({ name, law, prove }: StoreLaw, harness: StoreHarness): Law {
  return {
    name: law === undefined ? name : `law ${law}: ${name}`,
    ...(law !== undefined && { law }),
    run: () => inSpace(harness, prove),
  }
}

async function inSpace(harness: StoreHarness, prove: StoreLaw['prove']): Promise<void> {
  const space = await harness.open()
  try {
    await prove(ofOneLaw(space), harness)
  } finally {
    await space.close()
  }
}

/** The space with one second store, however often a law asks for it, and with methods that may be taken off it. */
function ofOneLaw(space: StoreSpace): OpenSpace {
  let second: Promise<SessionStore> | undefined
  return {
    store: space.store,
    second: () => (second ??= Promise.resolve(space.second())),
    ...(space.plant && { plant: id => Promise.resolve(space.plant?.(id)) }),
  }
}
