import type { RedisLink } from './client.ts'

const PROBE_TTL_MS = 1000
/** Refusals that say nothing of what is asked here: the commands themselves will tell. */
const OTHER_REFUSALS = /^(OOM|MISCONF|NOREPLICAS|NOPERM)/

/**
 * What a store finds out about its server once, before its first command.
 *
 * A replica would answer every read, and go on serving a session that was ended for as long as it lags: it is refused. So
 * is a connection that is not in the database which its client was made for: both libraries go on in database 0 if there
 * is none of that number. A server that evicts is warned of: whose key goes is signed out.
 */
export class FirstContact {
  readonly #link: RedisLink
  readonly #probe: string
  #making: Promise<void> | undefined
  isMade = false

  constructor(link: RedisLink, prefix: string) {
    this.#link = link
    this.#probe = `${prefix}probe:first`
  }

  /** Rejects with what the server, or its lack, answered; then it is made again before the next command. */
  make(): Promise<void> {
    this.#making ??= this.#make().finally(() => {
      this.#making = undefined
    })
    return this.#making
  }

  async #make(): Promise<void> {
    // The clients of a Cluster are led to the master of each slot by the servers themselves.
    if (!this.#link.isCluster) {
      await this.#assertDatabase()
      await this.#write()
    }
    this.isMade = true
    this.#warnOfEviction().catch(() => {
      // A server that keeps its settings to itself is taken at its page's word.
    })
  }

  async #assertDatabase(): Promise<void> {
    const { database } = this.#link
    if (database === 0) return
    const info = String(await this.#link.run(this.#probe, ['CLIENT', 'INFO']).catch(unlessRefused))
    const [, db = String(database)] = /\bdb=(\d+)/.exec(info) ?? []
    if (db !== String(database)) throw new Error(`The client is in database ${db} instead of ${database}.`)
  }

  async #write(): Promise<void> {
    await this.#link.run(this.#probe, ['SET', this.#probe, '', 'PX', String(PROBE_TTL_MS)]).catch(unlessRefused)
  }

  async #warnOfEviction(): Promise<void> {
    const masters = await this.#link.masters()
    const infos = await Promise.all(masters.map(master => master(['INFO', 'memory'])))
    const policy = infos.map(info => evictionPolicy(String(info))).find(found => found !== undefined)
    if (policy === undefined) return
    process.emitWarning(
      `Redis may evict sessions when its memory is full (maxmemory-policy ${policy}): whose session goes is signed out. Set maxmemory-policy noeviction.`,
      'CoatcheckWarning',
    )
  }
}

function unlessRefused(error: unknown): void {
  if (!(error instanceof Error && OTHER_REFUSALS.test(error.message))) throw error
}

/** The policy by which a server throws keys away, of what `INFO memory` says; undefined if it never does. */
function evictionPolicy(info: string): string | undefined {
  const [, policy] = /^maxmemory_policy:(\S+)/m.exec(info) ?? []
  return policy === 'noeviction' || /^maxmemory:0\s/m.test(info) ? undefined : policy
}
