import { deriveKey, equalHash, hmac, randomText, sha256 } from './crypto.ts'
import type { LastLook } from './last-look.ts'
import { RecentMap } from './recent-map.ts'

/** What a valid cookie value proves: that we made it, for this record, with this secret. */
export interface Token {
  /** The record's public id. */
  id: string
  /** base64url(SHA-256(secret)), to be compared with the record's. */
  readonly tokenHash: string
  /** The record's hash that this one was found equal to, in constant time; undefined before that. */
  proven?: string | undefined
  /** What its record came to when a request last looked. */
  last?: LastLook | undefined
}

/** A token just made; `value` goes into the cookie and nowhere else. */
export interface MintedToken extends Token {
  readonly value: string
}

const ID_BYTES = 16
const SECRET_BYTES = 32
/** Verified values of a moment ago, so that a known cookie costs no HMAC and no SHA. About 500 bytes each, and what `last` holds. */
const REMEMBERED = 10_000

/**
 * `id.secret.mac` in canonical base64url: the last character of each part carries unused bits, which must be zero, or
 * several spellings of one token would verify (RFC 4648 §3.5).
 */
const SHAPE = /^([\w-]{21}[AQgw])\.([\w-]{42}[AEIMQUYcgkosw048])\.([\w-]{42}[AEIMQUYcgkosw048])$/
/** Characters in a token. */
export const TOKEN_LENGTH = 22 + 1 + 43 + 1 + 43
/** Where the mac's first 12 characters are: 72 bits that nobody can guess, and a tenth of the token to be hashed. */
const MAC_START = 22 + 1 + 43 + 1
const MAC_PART_END = MAC_START + 12

/** A token, and the value that proved it: one object, because it is looked up for every request. */
interface Verified extends Token {
  readonly value: string
}

/** Makes and verifies the cookie's value. */
export class Tokens {
  readonly #keys: readonly Buffer[]
  /** By a part of the mac, because a map hashes the whole of its key. */
  readonly #verified = new RecentMap<Verified>(REMEMBERED)

  /** The first secret signs; all of them verify, so that a secret can be replaced without signing anyone out. */
  constructor(secrets: readonly string[]) {
    this.#keys = secrets.map(secret => deriveKey(secret, 'token mac'))
  }

  /** A new public id of 128 random bits (ASVS 5.0 7.2.3). */
  newId(): string {
    return randomText(ID_BYTES)
  }

  /** A new secret of 256 random bits for the record `id`. */
  mint(id: string): MintedToken {
    const secret = randomText(SECRET_BYTES)
    const body = `${id}.${secret}`
    return { id, tokenHash: sha256(secret), value: `${body}.${hmac(this.#signingKey, body)}` }
  }

  /** The token in a cookie value; undefined for whatever we did not make. Bounded work, and no store call (law 7). */
  verify(value: string): Token | undefined {
    const known = this.#verified.get(macPart(value))
    // The time that `===` takes says nothing to whoever does not know the mac: he finds no entry to be compared with.
    return known?.value === value ? known : this.#verifyAnew(value)
  }

  get #signingKey(): Buffer {
    return this.#keys[0] as Buffer
  }

  #verifyAnew(value: string): Token | undefined {
    if (value.length !== TOKEN_LENGTH) return undefined
    const [, id, secret, mac] = SHAPE.exec(value) ?? []
    if (id === undefined || secret === undefined || mac === undefined) return undefined
    const body = `${id}.${secret}`
    if (!this.#keys.some(key => equalHash(hmac(key, body), mac))) return undefined
    // Parts of `value` would keep the whole Cookie header alive for as long as they are remembered.
    const token: Verified = {
      id: unshared(id),
      tokenHash: sha256(secret),
      proven: undefined,
      last: undefined,
      value: unshared(value),
    }
    this.#verified.set(unshared(macPart(value)), token)
    return token
  }
}

function macPart(value: string): string {
  return value.slice(MAC_START, MAC_PART_END)
}

function unshared(slice: string): string {
  return Buffer.from(slice, 'latin1').toString('latin1')
}
