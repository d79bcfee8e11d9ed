import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { SessionRequest, UserId } from 'coatcheck'

/** The cookie's name without prefix. */
const COOKIE = 'device'
/** Several people may share a browser; so many of them it remembers. */
const MOST_TOKENS = 4
const SEPARATOR = '~'
const SHAPE = /^([\w-]{22})\.([0-9a-z]{8,9})\.([\w-]{43})$/

/** A browser in which a person has signed in before. */
export interface KnownDevice {
  /** Random; its own allowance of tries hangs on it. */
  readonly id: string
}

/**
 * Knows again the browsers in which people have signed in (OWASP, "Slow Down Online Guessing Attacks with Device
 * Cookies"). It signs nobody in: it only parts the owner's tries from a stranger's, so that whoever hammers an account
 * slows strangers down and not its owner (ASVS 5.0 6.1.1).
 *
 * The cookie holds one signed token for each of up to four people, which names neither of them.
 */
export class KnownDevices {
  readonly #keys: readonly Buffer[]
  readonly #lifetimeMs: number
  readonly #now: () => number

  constructor(keys: readonly Buffer[], lifetimeMs: number, now: () => number) {
    this.#keys = keys
    this.#lifetimeMs = lifetimeMs
    this.#now = now
  }

  /** The device, if this person has signed in from it. */
  recognise(request: SessionRequest, userId: UserId): KnownDevice | undefined {
    const id = tokensIn(request)
      .map(token => this.#verify(token, userId))
      .find(found => found !== undefined)
    return id === undefined ? undefined : { id }
  }

  /** Sends the cookie, with this person's token first; theirs from before is replaced, with the same id. */
  remember(request: SessionRequest, userId: UserId, known: KnownDevice | undefined): void {
    const others = tokensIn(request).filter(token => SHAPE.test(token) && this.#verify(token, userId) === undefined)
    const tokens = [this.#sign(known?.id ?? randomBytes(16).toString('base64url'), userId), ...others]
    request.setCookie(COOKIE, tokens.slice(0, MOST_TOKENS).join(SEPARATOR), this.#lifetimeMs)
  }

  #sign(id: string, userId: UserId): string {
    const body = `${id}.${this.#now().toString(36)}`
    return `${body}.${macOf(this.#keys[0] as Buffer, body, userId)}`
  }

  #verify(token: string, userId: UserId): string | undefined {
    const [, id, madeAt, mac] = SHAPE.exec(token) ?? []
    if (id === undefined || madeAt === undefined || mac === undefined) return undefined
    if (this.#now() - Number.parseInt(madeAt, 36) > this.#lifetimeMs) return undefined
    const valid = this.#keys.some(key => equal(macOf(key, `${id}.${madeAt}`, userId), mac))
    return valid ? id : undefined
  }
}

function tokensIn(request: SessionRequest): readonly string[] {
  return (request.cookie(COOKIE) ?? '').split(SEPARATOR, MOST_TOKENS)
}

function macOf(key: Buffer, body: string, userId: UserId): string {
  return createHmac('sha256', key)
    .update(`${body}.${String(userId)}`)
    .digest('base64url')
}

function equal(a: string, b: string): boolean {
  return timingSafeEqual(Buffer.from(a), Buffer.from(b))
}
