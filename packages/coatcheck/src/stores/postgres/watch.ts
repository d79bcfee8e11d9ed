import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { randomText } from '../../core/crypto.ts'
import { CoatcheckError } from '../../core/errors.ts'
import type { Watch } from '../../core/store.ts'
import {
  type PostgresConnection,
  type PostgresLink,
  type PostgresListener,
  type PostgresNotification,
  typed,
  within,
} from './client.ts'
import { text } from './row.ts'
import type { Statements } from './statements.ts'

/** What a watch tells: a record's id, or null for everything. */
type Changed = (id: string | null) => void

/** For how long changes are told after the last watch was heard of: no process that comes back later has a lease left. */
const WATCHED_MS = 3_600_000
const RENEWED_EVERY_MS = WATCHED_MS / 6
/** How often it is looked whether the writers that began before the mark have ended. */
const WRITERS_EVERY_MS = 50
const SESSION = 'session '

/** What a watch needs to know of its store. */
export interface WatchSettings {
  /** The schema, which names the channel too. */
  readonly schema: string
  readonly sql: Statements
  /** Gives a connection to listen on. Without it one of the pool is kept. */
  readonly listen: (() => PostgresListener) | undefined
}

/**
 * Follows every change of the records on a connection that listens. Whoever writes tells of it (see migrations.ts) from
 * when the mark `watched` is there and the transactions that began before it have ended.
 */
export async function watchChanges(link: PostgresLink, settings: WatchSettings, changed: Changed): Promise<Watch> {
  const watch = new Listening(link, settings, changed)
  try {
    await watch.open()
  } catch (error) {
    watch.lose(error)
    throw typed('watch', error)
  }
  return watch
}

class Listening implements Watch {
  readonly #link: PostgresLink
  readonly #settings: WatchSettings
  readonly #changed: Changed
  /** A channel of this watch's own, so that its proofs wake no other one's process. */
  readonly #proofs = `coatcheck_${randomText(9)}`
  /** Proofs on their way, by payload. */
  readonly #awaited = new Map<string, PromiseWithResolvers<void>>()
  #connection: PostgresConnection | undefined
  #release = (): void => {}
  #word = ''
  #renewedAt = 0
  #lost: Error | undefined

  constructor(link: PostgresLink, settings: WatchSettings, changed: Changed) {
    this.#link = link
    this.#settings = settings
    this.#changed = changed
  }

  async open(): Promise<void> {
    await this.#listen()
    this.#word = await this.#setMark()
    await this.#outwaitWriters()
    await this.prove()
  }

  /**
   * Notifies itself, and waits until that arrives where it listens. The notice is sent over the pool, so that what the
   * other writes go to is what is proven; on a server that takes no writes any more it fails. Postgres delivers in the
   * order of commits: each change that was acknowledged before, and so had been committed, has arrived before.
   */
  async prove(): Promise<void> {
    if (this.#lost) throw this.#lost
    if (performance.now() - this.#renewedAt > RENEWED_EVERY_MS) await this.#renew()
    const payload = randomText(9)
    const told = Promise.withResolvers<void>()
    this.#awaited.set(payload, told)
    // It may fail while the statement is still under way.
    told.promise.catch(() => {})
    // Between its proofs the connection is there for others: alone it holds no process.
    this.#connection?.ref?.()
    try {
      const { sql } = this.#settings
      const { rows } = await this.#link.ask('watch', sql.prove, [this.#proofs, payload, this.#word])
      if (rows.length === 0) throw untold()
      await within(this.#link.timeoutMs, told.promise).catch(error => Promise.reject(this.#lost ?? undelivered(error)))
    } finally {
      this.#awaited.delete(payload)
      if (this.#awaited.size === 0) this.#connection?.unref?.()
    }
  }

  async close(): Promise<void> {
    this.lose(new Error('The watch was closed.'))
  }

  /** Whatever is awaited fails, and the connection is given up: it is never used again. */
  lose(error: unknown): void {
    if (this.#lost) return
    this.#lost = error instanceof Error ? error : new Error('The listening connection failed.')
    for (const { reject } of this.#awaited.values()) reject(this.#lost)
    this.#release()
  }

  async #listen(): Promise<void> {
    const { schema, listen } = this.#settings
    const connection = listen === undefined ? await this.#pooled() : await this.#own(listen())
    connection.on('notification', notification => this.#heard(notification))
    connection.on('end', () => this.#drop(new Error('The listening connection ended.')))
    await within(this.#link.timeoutMs, connection.query(`LISTEN "${schema}"; LISTEN "${this.#proofs}"`))
    this.#connection = connection
  }

  async #pooled(): Promise<PostgresConnection> {
    const client = await this.#link.take()
    client.on('error', error => this.#drop(error))
    this.#release = () => {
      interrupt(client)
      client.release(true)
    }
    return client
  }

  async #own(client: PostgresListener): Promise<PostgresConnection> {
    client.on('error', error => this.#drop(error))
    this.#release = () => {
      interrupt(client)
      client.end().catch(() => {})
    }
    await within(this.#link.timeoutMs, client.connect())
    return client
  }

  #drop(error: Error): void {
    if (this.#lost) return
    this.lose(error)
    this.#changed(null)
  }

  async #renew(): Promise<void> {
    // Between the end of another's mark and this one nothing was told.
    if ((await this.#setMark()) !== this.#word) throw untold()
  }

  async #setMark(): Promise<string> {
    const { rows } = await this.#link.ask('watch', this.#settings.sql.watch, [randomText(9), WATCHED_MS])
    this.#renewedAt = performance.now()
    return text(rows[0]?.word)
  }

  /** Who began before the mark was there may not have seen it, and tells nothing of what it is about to commit. */
  async #outwaitWriters(): Promise<void> {
    const until = performance.now() + this.#link.timeoutMs
    let writers = await this.#writers()
    while (writers.length > 0) {
      if (performance.now() > until) throw overlong()
      await sleep(WRITERS_EVERY_MS, undefined, { ref: false })
      const still = new Set(await this.#writers())
      writers = writers.filter(writer => still.has(writer))
    }
  }

  async #writers(): Promise<readonly string[]> {
    const { rows } = await this.#link.ask('watch', this.#settings.sql.writers, [])
    return rows.map(({ writer }) => text(writer))
  }

  #heard({ channel, payload = '' }: PostgresNotification): void {
    if (this.#lost) return
    if (channel === this.#proofs) this.#awaited.get(payload)?.resolve()
    else if (channel === this.#settings.schema) this.#changed(payload.startsWith(SESSION) ? payload.slice(SESSION.length) : null)
  }
}

/** A goodbye that a silent peer must answer would never end; with a query under way `pg` cuts the connection off. */
function interrupt(connection: PostgresConnection): void {
  connection.query('SELECT 1').catch(() => {})
}

function untold(): CoatcheckError {
  return new CoatcheckError(
    'STORE_UNAVAILABLE',
    'Postgres does not tell of changes: the triggers of step 2 are missing or disabled, or the mark “watched” was taken away. Run migrate(pool), and leave both alone.',
  )
}

function undelivered(cause: unknown): CoatcheckError {
  return new CoatcheckError(
    'STORE_UNAVAILABLE',
    'Postgres took a NOTIFY and did not deliver it to the connection that listens: a transaction pooler (PgBouncer) swallows LISTEN, or that connection leads to another server. Give postgresStore a direct one: { listen: () => new Client(directUrl) }.',
    { cause },
  )
}

function overlong(): CoatcheckError {
  return new CoatcheckError(
    'STORE_UNAVAILABLE',
    'A transaction that changes sessions has been open since before the watch began, and may not tell of it. Every read is strict until it ends: look for it in pg_stat_activity.',
  )
}
