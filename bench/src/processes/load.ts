import { connect, type Socket } from 'node:net'
import { setPriority } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { getRequest, openConnection } from './connection.ts'
import type { SliceQuestion, SliceResult } from './messages.ts'

// The load generator. One process on its own core: plain sockets, requests whose bytes are made beforehand, one request
// at a time per connection (no pipelining). An HTTP client would cost more than the server that it measures.
// It never sleeps, so what else runs on its core, the servers behind a store above all, has to go first.
setPriority(10)
process.on('message', async (question: SliceQuestion) => {
  process.send!(await runSlice(question))
})
process.on('disconnect', () => process.exit())
process.send!({})

async function runSlice(question: SliceQuestion): Promise<SliceResult> {
  const shape = await learnShape(question)
  const load = new Load(question, shape)
  load.begin()
  const watch = new IdleWatch(() => load.answered)
  await sleep(question.warmMs)
  watch.reset()
  const [countBefore, begun] = [load.answered, performance.now()]
  await sleep(question.ms)
  const requests = load.answered - countBefore
  const seconds = (performance.now() - begun) / 1000
  const busy = watch.stop()
  await load.end()
  const { requestBytes, responseBytes } = shape
  const seen = { requests, seconds, busy, allRequests: load.answered, requestBytes, responseBytes }
  return load.wrong === undefined ? seen : { ...seen, wrong: load.wrong }
}

/**
 * Keeps the event loop turning, and tells how much of the time it turned for nothing.
 *
 * A load generator that sleeps must be woken for nearly every answer, and it is the server's `write` that pays for waking
 * another core (on a virtual machine a third of the whole request). A client across a network costs the server no such thing.
 */
class IdleWatch {
  readonly #work: () => number
  #running = true
  #begun = performance.now()
  #lastTurn = this.#begun
  #lastWork = 0
  #idleMs = 0

  constructor(work: () => number) {
    this.#work = work
    this.#turn()
  }

  reset(): void {
    this.#begun = performance.now()
    this.#idleMs = 0
  }

  /** The busy part of the time since `reset`, 0 to 1. */
  stop(): number {
    this.#running = false
    return 1 - this.#idleMs / (performance.now() - this.#begun)
  }

  #turn = (): void => {
    if (!this.#running) return
    const now = performance.now()
    const work = this.#work()
    if (work === this.#lastWork) this.#idleMs += now - this.#lastTurn
    this.#lastTurn = now
    this.#lastWork = work
    setImmediate(this.#turn)
  }
}

/** What every answer of a subject looks like. */
interface Shape {
  readonly requestBytes: number
  readonly responseBytes: number
  readonly bodyBytes: number
}

/** Asks once, slowly, and reads the answer as HTTP: all others must have its lengths. */
async function learnShape(question: SliceQuestion): Promise<Shape> {
  const request = requestBytes(question, 0)
  const connection = await openConnection(question.port)
  const text = await connection.ask(request)
  connection.close()
  const body = text.slice(text.indexOf('\r\n\r\n') + 4)
  return { requestBytes: request.length, responseBytes: text.length, bodyBytes: body.length }
}

function requestBytes({ port, signedIn }: SliceQuestion, person: number): Buffer {
  const { cookie } = signedIn[person]!
  return Buffer.from(getRequest(port, '/me', cookie))
}

const STATUS_AT = 'HTTP/1.1 '.length
const OK = Buffer.from('200')

/** All connections of one slice. */
class Load {
  answered = 0
  wrong: string | undefined
  readonly #port: number
  readonly #requests: readonly Buffer[]
  readonly #bodies: readonly Buffer[]
  readonly #shape: Shape
  readonly #connections: number
  readonly #closed: Promise<void>[] = []
  #running = true
  #next = 0

  constructor(question: SliceQuestion, shape: Shape) {
    this.#port = question.port
    this.#shape = shape
    this.#connections = question.connections
    this.#requests = question.signedIn.map((_, person) => requestBytes(question, person))
    this.#bodies = question.signedIn.map(({ userId }) => Buffer.from(JSON.stringify({ userId })))
  }

  begin(): void {
    for (let count = 0; count < this.#connections; count++) this.#closed.push(this.#open())
  }

  /** Lets the requests under way come back, then closes. */
  async end(): Promise<void> {
    this.#running = false
    await Promise.all(this.#closed)
  }

  #open(): Promise<void> {
    // Most answers come in one piece and are checked where they arrived; express-session withholds its last byte.
    const piece = Buffer.allocUnsafe(65_536)
    const pieces = Buffer.allocUnsafe(65_536)
    let person = 0
    let arrived = 0
    const send = () => {
      person = this.#next
      this.#next = (person + 1) % this.#requests.length
      arrived = 0
      socket.write(this.#requests[person]!)
    }
    const receive = (bytes: number) => {
      const whole = arrived === 0 && bytes >= this.#shape.responseBytes
      if (!whole) piece.copy(pieces, arrived, 0, bytes)
      arrived += bytes
      if (arrived >= this.#shape.responseBytes) this.#take(whole ? piece : pieces, arrived, person, socket, send)
      return true
    }
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true, onread: { buffer: piece, callback: receive } })
    socket.once('connect', send)
    return this.#untilClosed(socket)
  }

  /** An answer is here: checks it, and sends the next request. */
  #take(response: Buffer, bytes: number, person: number, socket: Socket, send: () => void): void {
    this.answered++
    if (!this.#isRight(response, bytes, person))
      this.#fail(`expected ${this.#bodies[person]}, got: ${response.toString('latin1', 0, bytes)}`)
    if (this.#running && this.wrong === undefined) send()
    else socket.destroy()
  }

  #untilClosed(socket: Socket): Promise<void> {
    return new Promise(resolve => {
      socket.once('error', error => this.#fail(`connection lost: ${error.message}`))
      socket.once('close', () => {
        if (this.#running) this.#fail('the server closed a connection')
        resolve()
      })
    })
  }

  #isRight(response: Buffer, bytes: number, person: number): boolean {
    const { responseBytes, bodyBytes } = this.#shape
    if (bytes !== responseBytes) return false
    if (OK.compare(response, STATUS_AT, STATUS_AT + OK.length) !== 0) return false
    return this.#bodies[person]!.compare(response, bytes - bodyBytes, bytes) === 0
  }

  #fail(what: string): void {
    this.wrong ??= what
  }
}
