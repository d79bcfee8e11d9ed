/** A stored password string, taken apart. */
export type StoredPassword = Argon2Password | BcryptPassword | ScryptPassword

export interface Argon2Password {
  readonly kind: 'argon2'
  readonly variant: 'argon2id' | 'argon2i' | 'argon2d'
  readonly version: number
  readonly memoryKiB: number
  readonly passes: number
  readonly lanes: number
  readonly salt: Buffer
  readonly hashBytes: number
}

export interface BcryptPassword {
  readonly kind: 'bcrypt'
  readonly cost: number
}

export interface ScryptPassword {
  readonly kind: 'scrypt'
  /** Base-2 logarithm of N. */
  readonly logN: number
  readonly blockSize: number
  readonly lanes: number
  readonly salt: Buffer
  readonly hash: Buffer
}

/** bcrypt reads this many bytes of a password and ignores the rest. */
export const BCRYPT_BYTES = 72

// Bounds on what a stored string may make us compute. A damaged `m=4294967295` must not ask for four terabytes.
export const MOST_MEMORY_KIB = 1_048_576
export const MOST_PASSES = 64
const MOST_LANES = 16
const MOST_BCRYPT_COST = 18
const LONGEST_STRING = 512

/**
 * Takes a stored password string apart: argon2 and scrypt in the PHC format (`$argon2id$v=19$m=…,t=…,p=…$salt$hash`,
 * `$scrypt$ln=…,r=…,p=…$salt$hash`), bcrypt as `$2a$`, `$2b$` or `$2y$`.
 *
 * @returns undefined for anything else: damaged, cut off, of an unknown kind, or so costly that checking it would be an
 *   attack. `$2x$` is among them: it marks hashes of a faulty implementation, which no sound one can check.
 */
export function parseStored(text: string): StoredPassword | undefined {
  if (text.length > LONGEST_STRING) return undefined
  return parseArgon2(text) ?? parseBcrypt(text) ?? parseScrypt(text)
}

function parseArgon2(text: string): Argon2Password | undefined {
  const match =
    /^\$(argon2id|argon2i|argon2d)(?:\$v=(16|19))?\$m=(\d{1,10}),t=(\d{1,10}),p=(\d{1,3})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/.exec(
      text,
    )
  if (match === null) return undefined
  const [, variant, version, memory, passes, lanes, salt, hash] = match as unknown as [
    string,
    Argon2Password['variant'],
    ...string[],
  ]
  const parts: Argon2Password = {
    kind: 'argon2',
    variant,
    version: Number(version ?? 16),
    memoryKiB: Number(memory),
    passes: Number(passes),
    lanes: Number(lanes),
    salt: fromBase64(salt) ?? Buffer.alloc(0),
    hashBytes: fromBase64(hash)?.length ?? 0,
  }
  return isSaneArgon2(parts) ? parts : undefined
}

/** RFC 9106 §3.1: at least 8 KiB a lane, an 8-byte salt, a 4-byte tag; we ask for 12 of the latter. */
function isSaneArgon2({ memoryKiB, passes, lanes, salt, hashBytes }: Argon2Password): boolean {
  if (!within(memoryKiB, 8 * lanes, MOST_MEMORY_KIB)) return false
  return (
    within(passes, 1, MOST_PASSES) && within(lanes, 1, MOST_LANES) && within(salt.length, 8, 64) && within(hashBytes, 12, 128)
  )
}

function parseBcrypt(text: string): BcryptPassword | undefined {
  const match = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(text)
  const cost = Number(match?.[1])
  return within(cost, 4, MOST_BCRYPT_COST) ? { kind: 'bcrypt', cost } : undefined
}

function parseScrypt(text: string): ScryptPassword | undefined {
  const match = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/.exec(text)
  if (match === null) return undefined
  const salt = fromBase64(match[4])
  const hash = fromBase64(match[5])
  if (salt === undefined || hash === undefined) return undefined
  const parts: ScryptPassword = {
    kind: 'scrypt',
    logN: Number(match[1]),
    blockSize: Number(match[2]),
    lanes: Number(match[3]),
    salt,
    hash,
  }
  return isSaneScrypt(parts) ? parts : undefined
}

function isSaneScrypt({ logN, blockSize, lanes, salt, hash }: ScryptPassword): boolean {
  if (!within(logN, 1, 30) || !within(blockSize, 1, 64) || !within(lanes, 1, MOST_LANES)) return false
  return (2 ** logN * blockSize) / 8 <= MOST_MEMORY_KIB && within(salt.length, 8, 64) && within(hash.length, 16, 128)
}

/** Strict: the one unpadded spelling of these bytes, so that a damaged character is never read past. */
function fromBase64(text: string | undefined): Buffer | undefined {
  const bytes = Buffer.from(text ?? '', 'base64')
  return toBase64(bytes) === text ? bytes : undefined
}

/** Base64 without padding, as the PHC format has it. */
export function toBase64(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '')
}

function within(value: number, least: number, most: number): boolean {
  return value >= least && value <= most
}
