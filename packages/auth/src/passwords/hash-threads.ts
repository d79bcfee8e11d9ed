import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { HashJob } from './compute.ts'

/** What a thread posts back. */
export type HashAnswer =
  | { readonly id: number; readonly result: string | boolean; readonly failed?: undefined }
  | { readonly id: number; readonly failed: string }

interface Waiting {
  resolve(result: string | boolean): void
  reject(error: Error): void
}

/**
 * How many jobs a thread has in hand: the one that it computes, and the next.
 *
 * With the next at hand it goes on without a pause. If it fell asleep after each hash, waking it would now and then put it
 * on the event loop's own core, which then waits for a time slice: that tripled the p99 of other requests on two cores.
 */
export const JOBS_IN_HAND = 2

/** One thread, started with its first job. It holds the process only while it has one. */
class HashThread {
  #worker: Worker | undefined
  readonly #waiting = new Map<number, Waiting>()
  #lastId = 0

  get load(): number {
    return this.#waiting.size
  }

  run(job: HashJob): Promise<string | boolean> {
    this.#worker ??= this.#start()
    const worker = this.#worker
    const id = ++this.#lastId
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      worker.ref()
      worker.postMessage({ id, job })
    })
  }

  #start(): Worker {
    const file = new URL(`./hash-thread${extname(import.meta.url)}`, import.meta.url)
    // Without the application's own flags: its instrumentation has no business with passwords.
    const worker = new Worker(file, { execArgv: [], name: 'coatcheck-hashing' })
    worker.on('message', (answer: HashAnswer) => this.#answered(answer))
    worker.on('error', error => this.#died(worker, error))
    worker.on('exit', code => this.#died(worker, new Error(`The hashing thread ended with ${code}.`)))
    return worker
  }

  #answered(answer: HashAnswer): void {
    const waiting = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    if (this.#waiting.size === 0) this.#worker?.unref()
    if (answer.failed === undefined) waiting?.resolve(answer.result)
    else waiting?.reject(new Error(answer.failed))
  }

  /** The next job starts another. */
  #died(worker: Worker, error: Error): void {
    if (this.#worker !== worker) return
    this.#worker = undefined
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }
}

/**
 * Threads of their own for hashing, not libuv's: those are four, and files, name lookups and compression wait for them.
 *
 * Process-wide, since the cores are: every `createAuth` of a process that hashes so many at once shares them.
 */
export class HashThreads {
  readonly #threads: readonly HashThread[]

  constructor(count: number) {
    this.#threads = Array.from({ length: count }, () => new HashThread())
  }

  /** Computes a job on the thread that has the least in hand. */
  run(job: HashJob): Promise<string | boolean> {
    const [first, ...others] = this.#threads
    if (first === undefined) throw new Error('no hashing thread')
    return others.reduce((least, thread) => (thread.load < least.load ? thread : least), first).run(job)
  }
}

const shared = new Map<number, HashThreads>()

/** The process's so many threads. */
export function hashThreads(count: number): HashThreads {
  const threads = shared.get(count) ?? new HashThreads(count)
  shared.set(count, threads)
  return threads
}
