import { type ChildProcess, fork } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { join } from 'node:path'
import type { BackendName } from './backends.ts'
import { received } from './errors.ts'
import type { Ask, Procedures, Told } from './peer.ts'

/** The other process, as this one has it: every call is a message there and its answer back. */
export class Peer {
  readonly #child: ChildProcess
  readonly #events = new EventEmitter().setMaxListeners(0)
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  #asked = 0

  private constructor(child: ChildProcess) {
    this.#child = child
    child.on('message', (told: Told) => this.#hear(told))
    child.on('exit', code => this.#fail(new Error(`The other process has ended (${code}).`)))
  }

  /** Starts a process with a connection of its own to the backend, and another one for its watches, if `watchUrl` is given. */
  static async start(backend: BackendName, ...urls: readonly [url: string, watchUrl?: string]): Promise<Peer> {
    // Structured clones keep what JSON loses: undefined, bigint, Date, lone surrogates.
    const args = [backend, ...urls.filter(url => url !== undefined)]
    const peer = new Peer(fork(join(import.meta.dirname, 'peer.ts'), args, { serialization: 'advanced' }))
    await once(peer.#events, 'ready')
    return peer
  }

  call<Name extends keyof Procedures>(
    procedure: Name,
    ...args: Parameters<Procedures[Name]>
  ): Promise<Awaited<ReturnType<Procedures[Name]>>>
  call(procedure: keyof Procedures, ...args: readonly unknown[]): Promise<unknown> {
    const number = this.#asked++
    const answer = Promise.withResolvers<unknown>()
    this.#waiting.set(number, answer)
    this.#child.send({ number, procedure, args } satisfies Ask)
    return answer.promise
  }

  on(event: string, listener: (value: unknown) => void): void {
    this.#events.on(event, listener)
  }

  /** Stops it in the middle of whatever it does; what it is asked waits until it goes on. */
  freeze(): void {
    this.#child.kill('SIGSTOP')
  }

  thaw(): void {
    this.#child.kill('SIGCONT')
  }

  /** Kills it: nothing of it has to be tidy. */
  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }

  #hear(told: Told): void {
    if ('event' in told) return void this.#events.emit(told.event, told.value)
    const answer = this.#waiting.get(told.number)
    this.#waiting.delete(told.number)
    if (told.error === undefined) answer?.resolve(told.value)
    else answer?.reject(received(told.error))
  }

  #fail(error: Error): void {
    if (this.#events.listenerCount('error') > 0) this.#events.emit('error', error)
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }
}
