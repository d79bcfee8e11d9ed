import { within } from '../../core/clock.ts'
import { CoatcheckError } from '../../core/errors.ts'

/** What we call of a `memcache-client` client, for one server. */
export interface MemcacheClient {
  gets(keys: string[]): Promise<unknown>
  add(key: string, value: string, options: { lifetime: number }): Promise<unknown>
  set(key: string, value: string, options: { lifetime: number }): Promise<unknown>
  cas(key: string, value: string, options: { lifetime: number; casUniq: string }): Promise<unknown>
  delete(key: string): Promise<unknown>
  /** Told apart by this from other libraries' clients, whose methods have the same names and other answers. */
  xsend(data: string): Promise<unknown>
  readonly options: object
}

/** A value, and the token by which it is changed if nobody else has. */
export interface Held {
  readonly value: string
  readonly token: string
}

type CasOutcome = 'stored' | 'exists' | 'missing'

/** The few commands that a store is made of. `expiry` is in absolute Unix seconds; 0 is never, below 0 at once. */
export interface MemcachedLink {
  /** In one command: only what is there is in the answer. */
  gets(keys: readonly string[]): Promise<ReadonlyMap<string, Held>>
  /** False if there is a value already. */
  add(key: string, value: string, expiry: number): Promise<boolean>
  set(key: string, value: string, expiry: number): Promise<void>
  cas(key: string, value: string, expiry: number, token: string): Promise<CasOutcome>
  /** False if there was none. */
  delete(key: string): Promise<boolean>
}

/**
 * The link over a client. A command that is not answered within `timeoutMs` fails.
 *
 * @throws CoatcheckError `BAD_OPTION` for another library's client, or one of several servers
 */
export function linkOf(client: MemcacheClient, timeoutMs: number): MemcachedLink {
  assertUsable(client)
  const bound = <Answer>(call: () => Promise<Answer>) => within(timeoutMs, called(call))
  return {
    gets: async keys => heldIn(await bound(() => client.gets([...keys])), keys),
    add: async (key, value, lifetime) => (await refusal(bound(() => client.add(key, value, { lifetime })))) === undefined,
    set: async (key, value, lifetime) => void (await bound(() => client.set(key, value, { lifetime }))),
    async cas(key, value, lifetime, casUniq) {
      const refused = await refusal(bound(() => client.cas(key, value, { lifetime, casUniq })))
      if (refused === undefined) return 'stored'
      return refused === 'NOT_FOUND' ? 'missing' : 'exists'
    },
    delete: async key => (await refusal(bound(() => client.delete(key)))) === undefined,
  }
}

/** The client throws some of its failures where it should reject. */
async function called<Answer>(call: () => Promise<Answer>): Promise<Answer> {
  return call()
}

/** The server's answer that nothing was written, which the client makes an error of; undefined if it was. */
async function refusal(answer: Promise<unknown>): Promise<string | undefined> {
  try {
    await answer
    return undefined
  } catch (error) {
    const text = error instanceof Error ? error.message : ''
    if (['NOT_STORED', 'EXISTS', 'NOT_FOUND'].includes(text)) return text
    throw error
  }
}

function heldIn(answer: unknown, keys: readonly string[]): ReadonlyMap<string, Held> {
  const values = Object(answer) as Record<string, { readonly value?: unknown; readonly casUniq?: unknown } | undefined>
  const held = new Map<string, Held>()
  for (const key of keys) {
    const found = values[key]
    // What its flags say is a number or JSON was not written by us: its text is as foreign as that of another's string.
    if (found !== undefined) held.set(key, { value: String(found.value), token: String(found.casUniq) })
  }
  return held
}

function assertUsable(client: MemcacheClient): void {
  const methods = ['gets', 'add', 'set', 'cas', 'delete', 'xsend'] as const
  if (!methods.every(name => typeof client?.[name] === 'function')) {
    throw new CoatcheckError(
      'BAD_OPTION',
      "memcachedStore takes a client of 'memcache-client' (new MemcacheClient({ server })): others answer a failed server with nothing, which would sign people out.",
    )
  }
  if (isOfSeveral(client.options)) {
    throw new CoatcheckError(
      'BAD_OPTION',
      'memcachedStore needs a client of one server: the client takes several for copies of one another and asks any of them.',
    )
  }
}

function isOfSeveral(options: unknown): boolean {
  const { server } = Object(options) as { readonly server?: { readonly servers?: unknown } }
  const servers = Object(server).servers
  return Array.isArray(servers) && servers.length !== 1
}

const UNREACHABLE = /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNRESET|EPIPE|socket|connect|timeout|shutdown/i

/** True if it was the server that did not answer, and not a value that the client could make nothing of. */
export function isUnreachable(error: unknown): boolean {
  return !(error instanceof SyntaxError) && UNREACHABLE.test(error instanceof Error ? error.message : String(error))
}

/** What each failure means, and what to do. */
const remedies: readonly [RegExp, string][] = [
  [/out of memory/, 'its memory is full and it may not forget anything (-M): raise -m'],
  [/unauthenticated|auth/i, 'it asks for a password, which the client does not send'],
  [/^(ERROR|CLIENT_ERROR)/, 'it did not understand: check that the address is that of a memcached'],
  [UNREACHABLE, 'it cannot be reached: check the address, and that it runs'],
]

/** The typed error for what the client threw. */
export function memcachedFailure(operation: string, cause: unknown): CoatcheckError {
  const message = cause instanceof Error ? cause.message : String(cause)
  // Its flags say that another application wrote it. What JSON says of it has its text in it.
  if (cause instanceof SyntaxError || /compress/.test(message)) {
    return new CoatcheckError(
      'FOREIGN_RECORD',
      "Memcached holds another application's value under a key of ours. Give Coatcheck a prefix or a server of its own.",
      { cause },
    )
  }
  if (message.includes('object too large')) {
    return new CoatcheckError(
      'SESSION_TOO_LARGE',
      'The session is larger than a value of memcached may be (1 MiB unless it was started with -I). Keep less in it, or start memcached with a larger -I.',
      { cause },
    )
  }
  const remedy = remedies.find(([pattern]) => pattern.test(message))?.[1] ?? 'see the cause'
  return new CoatcheckError('STORE_UNAVAILABLE', `Memcached failed on ${operation}: ${remedy}.`, { cause, retryAfter: 1 })
}
