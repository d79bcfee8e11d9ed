import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

/** What it says. */
export interface PeerMessage {
  readonly near?: string
  readonly names?: readonly (string | null)[]
  /** Reads of the store that the answer took. */
  readonly reads?: number
}

/** A process with an engine and a near cache of its own, which says for whom it takes cookies. */
export class Peer {
  readonly child: ChildProcess

  /** @param file beside this one */
  constructor(file: string, args: readonly string[]) {
    this.child = fork(join(import.meta.dirname, file), args)
  }

  isNear(state: 'lost' | 'proven'): Promise<unknown> {
    return this.#message(message => message.near === state)
  }

  ask(cookies: readonly string[]): Promise<PeerMessage> {
    const answer = this.#message(({ names }) => names !== undefined)
    this.child.send(cookies)
    return answer
  }

  async end(): Promise<void> {
    this.child.kill('SIGKILL')
    await once(this.child, 'exit')
  }

  #message(wanted: (message: PeerMessage) => boolean): Promise<PeerMessage> {
    return new Promise(resolve => {
      const heard = (message: PeerMessage) => {
        if (!wanted(message)) return
        this.child.off('message', heard)
        resolve(message)
      }
      this.child.on('message', heard)
    })
  }
}
