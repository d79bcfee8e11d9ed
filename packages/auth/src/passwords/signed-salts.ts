import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { parseStored } from './stored.ts'
import { SALT_BYTES } from './strength.ts'

const MAC_BYTES = 8

/**
 * Salts that say by whom a password was set: random bytes, and a MAC of them and of the setter, a session or a reset link.
 *
 * So a change that an outage kept from ending the other sessions is known again when it is asked for a second time, by any
 * process, and can be finished. Without the key such a salt is as random as any other.
 */
export class SignedSalts {
  readonly #keys: readonly Buffer[]

  constructor(keys: readonly Buffer[]) {
    this.#keys = keys
  }

  make(setter: string): Buffer {
    const random = randomBytes(SALT_BYTES)
    return Buffer.concat([random, macOf(this.#keys[0] as Buffer, random, setter)])
  }

  /** True if the string's salt was made for this setter. */
  isBy(setter: string, stored: string | null | undefined): boolean {
    const parsed = parseStored(stored ?? '')
    if (parsed?.kind !== 'argon2' || parsed.salt.length !== SALT_BYTES + MAC_BYTES) return false
    const [random, mac] = [parsed.salt.subarray(0, SALT_BYTES), parsed.salt.subarray(SALT_BYTES)]
    return this.#keys.some(key => timingSafeEqual(macOf(key, random, setter), mac))
  }
}

function macOf(key: Buffer, random: Buffer, setter: string): Buffer {
  return createHmac('sha256', key).update(random).update(setter).digest().subarray(0, MAC_BYTES)
}
