import { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import type { Subject } from '../subject.ts'
import type { LoopResult } from './messages.ts'

/** Requests under way at once, so that a store that answers in a later turn costs its work and not its waiting. */
const IN_FLIGHT = 32

/**
 * Calls the subject's listener again and again without any network: Node's own request and response objects, on a
 * stream that throws the bytes away. What differs from a limit's run is the cost of the sessions.
 */
export async function runLoop(subject: Subject, ms: number): Promise<LoopResult> {
  const until = performance.now() + ms
  const before = process.cpuUsage()
  let requests = 0
  const lane = async (first: number) => {
    const sink = new Sink()
    for (let at = first; performance.now() < until; at += IN_FLIGHT) {
      await answerOne(subject, at, sink)
      requests++
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, (_, index) => lane(index)))
  const { user, system } = process.cpuUsage(before)
  return { requests, cpuUs: user + system }
}

function answerOne({ listener, signedIn }: Subject, at: number, sink: Sink): Promise<void> {
  const { cookie } = signedIn[at % signedIn.length]!
  const request = new IncomingMessage(sink as Duplex as Socket)
  request.method = 'GET'
  request.url = '/me'
  request.httpVersion = '1.1'
  request.httpVersionMajor = 1
  request.httpVersionMinor = 1
  request.headers = { host: '127.0.0.1:3000', accept: 'application/json', cookie }
  request.push(null)
  const response = new ServerResponse(request)
  response.assignSocket(sink as Duplex as Socket)
  return new Promise((resolve, reject) => {
    response.once('finish', () => {
      response.detachSocket(sink as Duplex as Socket)
      if (response.statusCode === 200) resolve()
      else reject(new Error(`The subject answered ${response.statusCode} in process.`))
    })
    listener(request, response)
  })
}

/** In the place of a connection: takes whatever is written and forgets it. */
class Sink extends Duplex {
  override _read(): void {}

  override _write(_chunk: Buffer, _encoding: string, done: () => void): void {
    done()
  }
}
