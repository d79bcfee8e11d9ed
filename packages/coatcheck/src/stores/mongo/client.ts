import { within } from '../../core/clock.ts'
import { CoatcheckError, isCoatcheckError } from '../../core/errors.ts'
import { mongoFailure, notPrimary } from './errors.ts'

/** A document as the driver takes and gives it. */
export type MongoDocument = Readonly<Record<string, unknown>>

/** A database of the package `mongodb`: the part of its `Db` that we call. */
export interface MongoDb {
  /** Made by us, with options that the answers of this store depend on; those of the client do not count. */
  collection(name: string, options: object): MongoCollection
  /** For `hello` and `buildInfo`, which tell what kind of server this is. */
  command(command: object, options: object): Promise<MongoDocument>
}

/** What we call of the driver's `Collection`. */
export interface MongoCollection {
  find(filter: object, options: object): { toArray(): Promise<MongoDocument[]> }
  insertOne(document: object): Promise<unknown>
  updateOne(filter: object, update: object, options: object): Promise<{ readonly matchedCount: number }>
  findOneAndDelete(filter: object): Promise<MongoDocument | null>
  deleteMany(filter: object): Promise<{ readonly deletedCount: number }>
  createIndex(key: Record<string, 1 | -1>, options: object): Promise<string>
  watch(pipeline: object[], options: object): MongoChangeStream
}

/** What we call of the driver's `ChangeStream`. It goes on by itself after a lost connection, without a gap. */
export interface MongoChangeStream {
  /** Opens it, and gives an event if there is one already. */
  tryNext(): Promise<unknown>
  next(): Promise<MongoDocument>
  close(): Promise<void>
}

/** Of a write in which another one came first with the same `_id`. */
const DUPLICATE_KEY = 11000

/** The collection of one store, whose every command ends in bounded time and fails with an error of ours. */
export class MongoLink {
  readonly #db: MongoDb
  readonly timeoutMs: number
  readonly collection: MongoCollection
  #checked: Promise<void> | undefined

  constructor(db: MongoDb, name: string, timeoutMs: number) {
    this.#db = db
    this.timeoutMs = timeoutMs
    this.collection = db.collection(name, {
      // A secondary, or a primary that may have to take it back, would still serve a session that was ended.
      readPreference: 'primary',
      readConcern: { level: 'majority' },
      writeConcern: { w: 'majority' },
      timeoutMS: timeoutMs,
      // Numbers and text come as JavaScript's own, whatever the client was made with.
      promoteValues: true,
      promoteLongs: true,
      useBigInt64: false,
      raw: false,
      ignoreUndefined: false,
    })
  }

  /** Asks what kind of server this is. */
  command(operation: string, command: object): Promise<MongoDocument> {
    return this.#bound(operation, () => this.#db.command(command, { timeoutMS: this.timeoutMs }))
  }

  find(operation: string, filter: object, options: object = {}): Promise<readonly MongoDocument[]> {
    return this.ask(operation, () => this.collection.find(filter, options).toArray())
  }

  /** False if the `_id` is there already. */
  insert(operation: string, document: object): Promise<boolean> {
    return this.ask(operation, () => isFirst(this.collection.insertOne(document)))
  }

  /** True if a document matched. */
  async update(operation: string, filter: object, change: object): Promise<boolean> {
    return (await this.ask(operation, () => this.collection.updateOne(filter, change, {}))).matchedCount === 1
  }

  /** Changes the document of this `_id`, and makes it where there is none: for marks, never for a session. */
  async put(operation: string, _id: object, change: object): Promise<void> {
    const put = () => isFirst(this.collection.updateOne({ _id }, change, { upsert: true }))
    // Two that both found none: the second one's turn is now an ordinary change.
    await this.ask(operation, async () => (await put()) || put())
  }

  take(operation: string, filter: object): Promise<MongoDocument | null> {
    return this.ask(operation, () => this.collection.findOneAndDelete(filter))
  }

  async remove(operation: string, filter: object): Promise<number> {
    return (await this.ask(operation, () => this.collection.deleteMany(filter))).deletedCount
  }

  /** Runs one command, the first one after a look at the server. */
  async ask<Answer>(operation: string, command: () => Promise<Answer>): Promise<Answer> {
    this.#checked ??= assertUsable(this, operation)
    try {
      await this.#checked
    } catch (error) {
      this.#checked = undefined
      throw error
    }
    return this.#bound(operation, command)
  }

  /**
   * The driver's own limit does not count while a client makes its first connection, which may take half a minute; so
   * there is ours beside it.
   */
  async #bound<Answer>(operation: string, command: () => Promise<Answer>): Promise<Answer> {
    try {
      return await within(this.timeoutMs, command())
    } catch (error) {
      throw isCoatcheckError(error) ? error : mongoFailure(operation, error)
    }
  }
}

/**
 * A member that is asked directly answers reads also as a secondary. FerretDB 1 reads and writes an update in two steps, so
 * that of two saves at once both are "saved" and one is lost.
 */
async function assertUsable(link: MongoLink, operation: string): Promise<void> {
  const [hello, build] = await Promise.all([link.command(operation, { hello: 1 }), link.command(operation, { buildInfo: 1 })])
  if (hello.isWritablePrimary !== true) throw notPrimary(operation)
  if ('ferretdbVersion' in build) {
    throw new CoatcheckError(
      'NOT_SUPPORTED',
      'The mongo store does not work over FerretDB 1: its updates are not atomic, so that saves would be lost. Use MongoDB, or coatcheck/postgres.',
    )
  }
}

async function isFirst(write: Promise<unknown>): Promise<boolean> {
  try {
    await write
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === DUPLICATE_KEY) return false
    throw error
  }
}
