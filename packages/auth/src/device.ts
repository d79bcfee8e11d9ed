import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { SessionRequest, UserId } from 'coatcheck'

/** The cookie's name without prefix. */
const COOKIE = 'device'
/** Several people may share a browser; so many of them it remembers. */
const MOST_TOKENS = 4
const SEPARATOR = '~'
const SHAPE = /^([\w-]{22})\.([0-9a-z]{8,9})\.([\w-]{43})\.([\w-]{43})$/

/** A browser in which a person has signed in before. */
export interface KnownDevice {
  /** Random; its own allowance of tries hangs on it. */
  readonly id: string
}

interface SignedDevice extends KnownDevice {
  readonly mac: string
  readonly binding: string
}

/**
 * Knows again the browsers in which people have signed in (OWASP, "Slow Down Online Guessing Attacks with Device
 * Cookies"). It signs nobody in: it only parts the owner's tries from a stranger's, so that whoever hammers an account
 * slows strangers down and not its owner (ASVS 5.0 6.1.1).
 *
 * The cookie holds one signed token for each of up to four people, which names neither of them. A second signature binds it
 * to the stored password string: with another password, every browser known before is a stranger's again.
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

  /** True if this person has signed in from the browser, under whatever password: only then is it worth a look at theirs. */
  isTheirs(request: SessionRequest, userId: UserId): boolean {
    return tokensIn(request).some(token => this.#verify(token, userId) !== undefined)
  }

  /** The device, if this person has signed in from it by the password that is stored now. */
  recognise(request: SessionRequest, userId: UserId, passwordHash: string | null): KnownDevice | undefined {
    return tokensIn(request)
      .map(token => this.#verify(token, userId))
      .find(found => found !== undefined && this.#keys.some(key => equal(boundTo(passwordHash, key, found.mac), found.binding)))
  }

  /** Sends the cookie, with this person's token first; theirs from before is replaced, with the same id. */
  remember(request: SessionRequest, userId: UserId, passwordHash: string | null): void {
    const tokens = tokensIn(request).filter(token => SHAPE.test(token))
    const others = tokens.filter(token => this.#verify(token, userId) === undefined)
    const before = tokens.map(token => this.#verify(token, userId)).find(found => found !== undefined)
    const token = this.#sign(before?.id ?? randomBytes(16).toString('base64url'), userId, passwordHash)
    request.setCookie(COOKIE, [token, ...others].slice(0, MOST_TOKENS).join(SEPARATOR), this.#lifetimeMs)
  }

  #sign(id: string, userId: UserId, passwordHash: string | null): string {
    const key = this.#keys[0] as Buffer
    const body = `${id}.${this.#now().toString(36)}`
    const mac = macOf(key, `${body}.${String(userId)}`)
    return `${body}.${mac}.${boundTo(passwordHash, key, mac)}`
  }

  #verify(token: string, userId: UserId): SignedDevice | undefined {
    const [, id, madeAt, mac, binding] = SHAPE.exec(token) ?? []
    if (id === undefined || madeAt === undefined || mac === undefined || binding === undefined) return undefined
    if (this.#now() - Number.parseInt(madeAt, 36) > this.#lifetimeMs) return undefined
    const valid = this.#keys.some(key => equal(macOf(key, `${id}.${madeAt}.${String(userId)}`), mac))
    return valid ? { id, mac, binding } : undefined
  }
}

function tokensIn(request: SessionRequest): readonly string[] {
  return (request.cookie(COOKIE) ?? '').split(SEPARATOR, MOST_TOKENS)
}

/** By way of the first signature, so that two browsers of one person have nothing in common. */
function boundTo(passwordHash: string | null, key: Buffer, mac: string): string {
  return macOf(key, `${mac}.${passwordHash ?? ''}`)
}

function macOf(key: Buffer, text: string): string {
  return createHmac('sha256', key).update(text).digest('base64url')
}

function equal(a: string, b: string): boolean {
  return timingSafeEqual(Buffer.from(a), Buffer.from(b))
}
