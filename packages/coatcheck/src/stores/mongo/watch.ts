import { randomText } from '../../core/crypto.ts'
import { CoatcheckError, isCoatcheckError } from '../../core/errors.ts'
import type { Watch } from '../../core/store.ts'
import type { MongoChangeStream, MongoDocument, MongoLink } from './client.ts'
import { GENERATION, probeOf } from './document.ts'
import { mongoFailure } from './errors.ts'

/** What a watch tells: a record's id, or null for everything. */
type Changed = (id: string | null) => void

/** How long the server holds a request for events that it does not have yet. */
const LONGEST_AWAIT_MS = 500
const NONCE_BYTES = 9

/** Every change but touches, which change no version; without what was saved. The `_id` of an event must stay. */
const PIPELINE = [
  {
    $match: {
      $or: [
        { operationType: { $ne: 'update' } },
        { 'updateDescription.updatedFields.version': { $exists: true } },
        { 'documentKey._id': { $type: 'object' } },
      ],
    },
  },
  { $project: { operationType: 1, documentKey: 1, 'fullDocument.nonce': 1, 'updateDescription.updatedFields.nonce': 1 } },
]

/**
 * Follows every change of the collection by a change stream, which gives what a majority has, in the order of the one
 * history that a replica set has.
 *
 * @throws CoatcheckError `NOT_SUPPORTED` where there is no replica set: a single mongod or FerretDB, or a sharded cluster,
 *   whose shards promise no order between a change on one and a probe on another
 */
export async function watchCollection(link: MongoLink, changed: Changed): Promise<Watch> {
  await assertReplicaSet(link)
  const maxAwaitTimeMS = Math.min(LONGEST_AWAIT_MS, link.timeoutMs / 2)
  const stream = link.collection.watch(PIPELINE, { maxAwaitTimeMS })
  const following = new Following(link, stream, changed)
  try {
    await link.ask('watch', () => stream.tryNext()).then(event => following.hear(event))
    void following.run()
    await following.prove()
  } catch (error) {
    await following.close()
    throw error
  }
  return following
}

async function assertReplicaSet(link: MongoLink): Promise<void> {
  const { setName, msg } = await link.command('watch', { hello: 1 })
  if (typeof setName === 'string') return
  const what = msg === 'isdbgrid' ? 'a sharded cluster, whose shards promise no common order' : 'no replica set'
  throw new CoatcheckError(
    'NOT_SUPPORTED',
    `The mongo store has no watch here: this is ${what}. Connect to a replica set (one member will do), or leave nearCache out.`,
  )
}

class Following implements Watch {
  readonly #link: MongoLink
  readonly #stream: MongoChangeStream
  readonly #changed: Changed
  readonly #probe = probeOf(randomText(NONCE_BYTES))
  /** Probes on their way, by nonce. */
  readonly #awaited = new Map<string, PromiseWithResolvers<void>>()
  #lost: CoatcheckError | undefined

  constructor(link: MongoLink, stream: MongoChangeStream, changed: Changed) {
    this.#link = link
    this.#stream = stream
    this.#changed = changed
  }

  /** Hears one event after the other until the stream fails. It resumes by itself, from where it was, after an outage. */
  async run(): Promise<void> {
    try {
      while (this.#lost === undefined) this.hear(await this.#stream.next())
    } catch (error) {
      this.#lose(isCoatcheckError(error) ? error : mongoFailure('watch', error))
    }
  }

  /**
   * Writes a document that a majority must take, and waits until it comes through the stream: a primary that is cut off
   * from the set finds no majority, and what was acknowledged before the write comes before it.
   */
  async prove(): Promise<void> {
    if (this.#lost) throw this.#lost
    const nonce = randomText(NONCE_BYTES)
    const told = Promise.withResolvers<void>()
    this.#awaited.set(nonce, told)
    try {
      const written = this.#link.put('watch', this.#probe, { $set: { nonce }, $currentDate: { forgetAt: true } })
      await Promise.all([written, this.#link.ask('watch', () => told.promise)])
    } finally {
      this.#awaited.delete(nonce)
    }
  }

  async close(): Promise<void> {
    this.#lose(new CoatcheckError('STORE_UNAVAILABLE', 'The watch was closed.'))
    await this.#stream.close()
  }

  hear(event: unknown): void {
    if (this.#lost || event === null) return
    const { documentKey, fullDocument, updateDescription } = event as ChangeEvent
    const _id = documentKey?._id
    // No key: the collection itself was dropped or renamed.
    if (_id === undefined || isGeneration(_id)) this.#changed(null)
    else if (typeof _id === 'string') this.#changed(_id)
    else this.#awaited.get(String(fullDocument?.nonce ?? updateDescription?.updatedFields?.nonce))?.resolve()
  }

  /** Whatever is awaited fails, and nothing is heard any more. */
  #lose(error: CoatcheckError): void {
    this.#lost ??= error
    for (const { reject } of this.#awaited.values()) reject(this.#lost)
  }
}

/** The part of a change event that the pipeline lets through. */
interface ChangeEvent {
  readonly documentKey?: MongoDocument
  readonly fullDocument?: MongoDocument
  readonly updateDescription?: { readonly updatedFields?: MongoDocument }
}

function isGeneration(_id: unknown): boolean {
  return typeof _id === 'object' && _id !== null && 'mark' in _id && _id.mark === GENERATION.mark
}
