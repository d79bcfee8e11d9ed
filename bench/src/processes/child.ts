import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { pinned } from './cores.ts'

/** A process of ours on one core, which answers one message at a time. */
export class Child {
  readonly #process: ChildProcess

  private constructor(child: ChildProcess) {
    this.#process = child
  }

  /**
   * Starts `file` and waits for its first message.
   *
   * @param core the core that it is bound to; undefined where binding is not possible
   * @param nodeOptions for Node itself, such as `--cpu-prof`
   */
  static async start<Ready>(
    file: string,
    args: readonly string[],
    core: number | undefined,
    nodeOptions: readonly string[] = [],
  ) {
    const path = fileURLToPath(new URL(file, import.meta.url))
    const command = [...pinned(core), process.execPath, ...nodeOptions, path, ...args]
    const env = { ...process.env, NODE_ENV: 'production' }
    const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], env })
    const started = new Child(child)
    return { child: started, ready: await started.#reply<Ready>() }
  }

  /** Sends a message and gives the answer. */
  ask<Reply>(message: object): Promise<Reply> {
    this.#process.send(message)
    return this.#reply()
  }

  /** Lets the process end by itself. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const exit = once(this.#process, 'exit')
    this.#process.disconnect()
    await exit
  }

  #reply<Reply>(): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const fail = (code: number | null) => reject(new Error(`The process ended (${code}) before it answered.`))
      this.#process.once('exit', fail)
      this.#process.once('message', message => {
        this.#process.off('exit', fail)
        resolve(message as Reply)
      })
    })
  }
}
