import { createHmac } from 'node:crypto'
import { addressBucket } from './address.ts'
import { answered, Backend } from './backend.ts'
import { type Counted, Counter, type Refused, type Taken, type Window } from './counter.ts'
import type { Limiter } from './limiter.ts'
import type { Limits } from './limits.ts'

/** The limits with windows in seconds. */
export type Windows = { readonly [Name in keyof Limits]: readonly Window[] }

/** Whose try it is. */
export interface Tried {
  /** What was typed as identifier, in a coarse form, and the account: a try counts under each. */
  readonly names: readonly string[]
  /** The client's address; undefined if unknown. */
  readonly ip: string | undefined
  /** Where this person has signed in from the browser before. */
  readonly known?: KnownBrowser | undefined
}

/** A browser that an account knows. */
export interface KnownBrowser {
  readonly device: string
  /** All browsers that the account knows by its present password: together they have what strangers have. */
  readonly all: string
}

/** A try that may go on: counted already, so that those beside it know. */
export interface Reservation {
  readonly ok: true
  /** True if it is the last that the account has in some window, from strangers, from a known browser, or at step-up. */
  readonly lastOfAccount: boolean
  /** Nothing was checked: the try does not count. */
  giveBack(): Promise<void>
  /** The password was right: the try does not count, and the account's failures from this address are forgotten. */
  succeed(): Promise<void>
}

/** A try that nobody looks at. */
export interface Refusal {
  readonly ok: false
  /** Seconds until it makes sense again. */
  readonly retryAfter: number
  /** The limit that was reached. */
  readonly limit: keyof Limits
}

interface Link {
  readonly limit: keyof Limits
  readonly counter: Counter
  readonly key: string
}

interface CountedLink extends Link {
  readonly counted: Counted
  readonly last: boolean
}

/** Limits whose count a correct password forgets: nobody but the person fills them. */
const CLEARED: readonly (keyof Limits)[] = ['perAccountAndIp', 'perDevice', 'perReauthentication']

/** Limits that are one account's, from wherever it is tried. */
const OF_ACCOUNT: readonly (keyof Limits)[] = ['perAccount', 'perDevice', 'perReauthentication']

/**
 * Counts tries before they are looked at.
 *
 * A try is taken from one limit after the other and given back to all of them where one refuses. First come the limits
 * that are the client's own (its address), then those that it shares with the account's owner, short windows before long
 * ones: so a flood that is refused at the first never reaches the others, and a burst fills a minute, not a day.
 *
 * Keys are hashed: neither addresses nor identifiers rest in the limiter's backend.
 */
export class Throttle {
  readonly #counters: { readonly [Name in keyof Limits]: readonly Counter[] }
  readonly #limiter: Limiter
  readonly #key: Buffer
  readonly #failed: (error: unknown) => void
  #prepared: Promise<void> | undefined

  /**
   * @param key what the keys are hashed with
   * @param failed hears of a try that could not be given back: it stays counted, and the login goes on
   */
  constructor(limiter: Limiter, windows: Windows, key: Buffer, failed: (error: unknown) => void) {
    this.#limiter = limiter
    this.#key = key
    this.#failed = failed
    const backend = new Backend()
    const made = Object.entries(windows).map(([name, list]) => [
      name,
      list.map(window => new Counter(limiter, nameOf(name), window, backend)),
    ])
    this.#counters = Object.fromEntries(made) as { [Name in keyof Limits]: readonly Counter[] }
  }

  /**
   * A try to sign in.
   *
   * @throws CoatcheckError `LIMITER_UNAVAILABLE`: no password is checked while tries cannot be counted
   */
  login({ names, ip, known }: Tried): Promise<Reservation | Refusal> {
    if (known !== undefined)
      return this.#reserve([...this.#links('perDevice', known.device), ...this.#links('perAccount', known.all)])
    const shared = names.flatMap(name => this.#links('perAccount', name))
    const address = addressBucket(ip)
    if (address === undefined) return this.#reserve(shared)
    const own = names.flatMap(name => this.#links('perAccountAndIp', `${name}\0${address}`))
    return this.#reserve([...this.#links('perIp', address), ...own, ...shared])
  }

  /** A try of somebody who is signed in to prove it again. The account's own count: strangers cannot fill it. */
  reauthentication(account: string): Promise<Reservation | Refusal> {
    return this.#reserve(this.#links('perReauthentication', account))
  }

  /** A wish for a reset mail. */
  reset({ names, ip }: Tried): Promise<Reservation | Refusal> {
    const address = addressBucket(ip)
    const own = address === undefined ? [] : this.#links('perResetIp', address)
    return this.#reserve([...own, ...names.flatMap(name => this.#links('perResetAccount', name))])
  }

  /** A wish for an account. */
  signUp(ip: string | undefined): Promise<Reservation | Refusal> {
    const address = addressBucket(ip)
    return this.#reserve(address === undefined ? [] : this.#links('perSignUpIp', address))
  }

  #links(limit: keyof Limits, key: string): Link[] {
    const hashed = createHmac('sha256', this.#key).update(key).digest('base64url')
    return this.#counters[limit].map(counter => ({ limit, counter, key: hashed }))
  }

  async #reserve(links: readonly Link[]): Promise<Reservation | Refusal> {
    const taken: CountedLink[] = []
    try {
      await this.#ready()
      for (const link of links) {
        const outcome = await link.counter.take(link.key, counted => this.#giveBack(undone(link, counted)))
        if (!outcome.taken) return await this.#refuse(link, outcome, taken)
        taken.push({ ...link, counted: outcome, last: outcome.last })
      }
    } catch (error) {
      // Not waited for: it is the same backend.
      void this.#giveBack(taken)
      throw error
    }
    return this.#reservation(taken)
  }

  async #refuse(link: Link, refused: Refused, taken: readonly CountedLink[]): Promise<Refusal> {
    await this.#giveBack([...taken, ...undone(link, refused)])
    return { ok: false, limit: link.limit, retryAfter: Math.max(1, Math.ceil(refused.waitMs / 1000)) }
  }

  #reservation(taken: readonly CountedLink[]): Reservation {
    return {
      ok: true,
      lastOfAccount: taken.some(link => OF_ACCOUNT.includes(link.limit) && link.last),
      giveBack: () => this.#giveBack(taken),
      succeed: () => this.#settle(taken.map(link => (CLEARED.includes(link.limit) ? link.counter.clear(link.key) : back(link)))),
    }
  }

  #giveBack(links: readonly CountedLink[]): Promise<void> {
    return this.#settle(links.map(back))
  }

  /** A count that stays too high ends with its window; that is no reason to fail a login. */
  async #settle(changes: readonly Promise<void>[]): Promise<void> {
    for (const change of await Promise.allSettled(changes)) if (change.status === 'rejected') this.#failed(change.reason)
  }

  /** Again with the next try, as long as it fails. */
  async #prepare(): Promise<void> {
    try {
      await this.#limiter.prepare?.()
    } catch (error) {
      this.#prepared = undefined
      throw error
    }
  }

  async #ready(): Promise<void> {
    this.#prepared ??= this.#prepare()
    const prepared = this.#prepared
    await answered(() => prepared)
  }
}

/**
 * Nothing was looked at, so nothing stays counted: or a burst would fill a day with what a minute refused. But what was
 * refused does in the counts that a correct password clears: given back after the clearing it would be credit.
 */
function undone(link: Link, counted: Taken | Refused): readonly CountedLink[] {
  return !counted.taken && CLEARED.includes(link.limit) ? [] : [{ ...link, counted, last: false }]
}

function back({ counter, key, counted }: CountedLink): Promise<void> {
  return counter.giveBack(key, counted)
}

/** `perAccountAndIp` → `account-and-ip`. */
function nameOf(limit: string): string {
  return limit
    .replace(/^per/, '')
    .replace(/(?<=.)[A-Z]/g, '-$&')
    .toLowerCase()
}
