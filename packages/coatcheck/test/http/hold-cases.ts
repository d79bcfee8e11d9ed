import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'

/** HTTP/1.1's response; HTTP/2's has the same methods at run time, and lacks some in its types. */
export type Response = ServerResponse<IncomingMessage>

/** One way of answering. What it logs has to be the same with and without sessions, and what the client gets too. */
export interface Case {
  readonly name: string
  /** Where only one protocol knows the call, or defines what happens. */
  readonly only?: 'http1' | 'http2'
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly version?: '1.0'
  answer(response: Response, log: (entry: unknown) => void, request: IncomingMessage): unknown
}

const bytes = (text: string) => new Uint8Array(Buffer.from(text))
const chunks = (count: number, size: number) => Array.from({ length: count }, (_, i) => Buffer.alloc(size, 97 + (i % 26)))

/** Runs it, and logs the code of what it throws. */
function refused(log: (entry: unknown) => void, act: () => unknown): void {
  try {
    act()
    log('passed')
  } catch (error) {
    log((error as NodeJS.ErrnoException).code ?? String(error))
  }
}

function state(res: Response): unknown {
  return { headersSent: res.headersSent, writableEnded: res.writableEnded, finished: Reflect.get(res, 'finished') }
}

/** The order of callbacks, without what they are given: an error object, or node's null in one version and not another. */
function called(log: (entry: unknown) => void, name: string): () => void {
  return () => log(`${name} called`)
}

const ends: readonly Case[] = [
  { name: 'end()', answer: res => res.end() },
  { name: 'end(text)', answer: res => res.end('text ü') },
  { name: 'end(text, encoding)', answer: res => res.end('ü', 'latin1') },
  { name: 'end(text, hex)', answer: res => res.end('666f6f', 'hex') },
  { name: 'end(callback)', answer: (res, log) => res.end(called(log, 'end')) },
  { name: 'end(text, callback)', answer: (res, log) => res.end('text', called(log, 'end')) },
  { name: 'end(text, encoding, callback)', answer: (res, log) => res.end('text', 'utf8', called(log, 'end')) },
  { name: 'end(Buffer)', answer: res => res.end(Buffer.from('text')) },
  { name: 'end(Uint8Array)', answer: res => res.end(bytes('text')) },
  { name: "end('')", answer: res => res.end('') },
  { name: "end('', callback)", answer: (res, log) => res.end('', called(log, 'end')) },
  { name: 'end(undefined)', answer: res => res.end(undefined) },
  { name: 'end(null)', answer: res => res.end(null) },
  { name: 'end returns the response', answer: (res, log) => log(res.end('text') === res) },
  { name: 'end in a later turn', answer: res => delay(5).then(() => res.end('text')) },
  { name: 'end of 1 MiB', answer: res => res.end(Buffer.alloc(1 << 20, 'a')) },
]

const writes: readonly Case[] = [
  {
    name: 'write(text), end()',
    answer(res, log) {
      log(res.write('text ü'))
      res.end()
    },
  },
  {
    name: 'write(text, encoding), end(text)',
    answer(res, log) {
      log(res.write('666f6f', 'hex'))
      res.end('bar')
    },
  },
  {
    name: 'write(text, callback), end(callback)',
    answer(res, log) {
      log(res.write('text', called(log, 'write')))
      res.end(called(log, 'end'))
    },
  },
  {
    name: 'write(text, encoding, callback), three times, and end(text, callback): in order',
    answer(res, log) {
      for (const i of [1, 2, 3]) log(res.write(`part ${i}`, 'utf8', called(log, `write ${i}`)))
      res.end('last', called(log, 'end'))
    },
  },
  {
    name: 'write(Buffer), write(Uint8Array), end()',
    answer(res) {
      res.write(Buffer.from('a'))
      res.write(bytes('b'))
      res.end()
    },
  },
  {
    name: "write('') alone",
    answer(res, log) {
      log(res.write(''))
      res.end()
    },
  },
  {
    name: 'write in one turn, end in a later one',
    async answer(res) {
      res.write('first')
      await delay(5)
      res.end('last')
    },
  },
  {
    name: 'write, and the rest after the save is long done',
    async answer(res, log) {
      res.write('first')
      await delay(60)
      log(state(res))
      res.write('second', called(log, 'second'))
      res.end('last', called(log, 'end'))
    },
  },
  {
    name: 'write with a known Content-Length',
    answer(res) {
      res.setHeader('Content-Length', 8)
      res.write('four')
      res.end('more')
    },
  },
  {
    name: 'cork, write, write, uncork, end',
    async answer(res) {
      res.cork()
      res.write('one')
      res.write('two')
      res.uncork()
      await delay(5)
      res.end('three')
    },
  },
  {
    name: 'cork once the head has gone',
    answer(res) {
      res.flushHeaders()
      res.cork()
      res.write('one')
      res.write('two')
      res.uncork()
      res.end('three')
    },
  },
]

/** HTTP/2's `setHeader` returns nothing: no chaining. */
function withHeader(res: Response, name: string, value: string | number | string[]): Response {
  res.setHeader(name, value)
  return res
}

const set = (res: Response) => withHeader(res, 'X-Before', 'set')

const heads: readonly Case[] = [
  { name: 'writeHead(status)', answer: res => res.writeHead(201).end('text') },
  { name: 'writeHead(status, words)', only: 'http1', answer: res => res.writeHead(404, 'Not Here').end('text') },
  {
    name: 'writeHead(status, object)',
    answer: res => res.writeHead(200, { 'X-One': '1', 'X-Two': ['a', 'b'], 'X-N': 5 }).end('text'),
  },
  {
    name: 'writeHead(status, words, object)',
    only: 'http1',
    answer: res => res.writeHead(200, 'Fine', { 'X-One': '1' }).end('text'),
  },
  { name: 'writeHead(status, undefined, object)', answer: res => res.writeHead(200, undefined, { 'X-One': '1' }).end('text') },
  {
    name: 'writeHead(status, flat array)',
    answer: res => res.writeHead(200, ['X-One', '1', 'X-Two', '2', 'X-One', '3']).end('text'),
  },
  {
    name: 'writeHead(status, words, flat array)',
    only: 'http1',
    answer: res => res.writeHead(200, 'Fine', ['X-One', '1']).end(),
  },
  {
    name: 'writeHead(status, array of pairs)',
    answer: res => Reflect.apply(res.writeHead, res, [200, [['X-One', '1'], ['X-Two', '2']]]).end('text'), // biome-ignore format: pairs
  },
  { name: 'writeHead(status, empty object)', answer: res => res.writeHead(200, {}).end('text') },
  { name: 'writeHead(status, empty array)', answer: res => res.writeHead(200, []).end('text') },
  { name: 'writeHead with a length', answer: res => res.writeHead(200, { 'Content-Length': 4 }).end('text') },
  { name: 'writeHead(status) after setHeader', answer: res => set(res).writeHead(201).end('text') },
  {
    name: 'writeHead(status, object) over setHeader',
    answer: res => set(res).writeHead(200, { 'x-before': 'overridden', 'X-One': '1' }).end('text'),
  },
  {
    name: 'writeHead(status, flat array) over setHeader',
    answer: res => set(res).writeHead(200, ['x-before', 'one', 'X-Before', 'two']).end('text'),
  },
  {
    name: 'Set-Cookie by writeHead(object) over one by setHeader',
    answer: res => withHeader(res, 'Set-Cookie', 'a=1').writeHead(200, { 'set-cookie': ['b=2', 'c=3'] }).end('text'), // biome-ignore format: one line
  },
  {
    name: 'Set-Cookie by a flat array',
    answer: res => res.writeHead(200, ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2']).end('text'),
  },
  { name: 'Set-Cookie by setHeader', answer: res => withHeader(res, 'Set-Cookie', ['a=1', 'b=2']).end('text') },
  {
    name: 'Set-Cookie by appendHeader',
    only: 'http1',
    answer: res => res.appendHeader('Set-Cookie', 'a=1').appendHeader('Set-Cookie', 'b=2').end(),
  },
  { name: 'setHeaders(Headers)', only: 'http1', answer: res => res.setHeaders(new Headers({ 'X-One': '1' })).end('text') },
  {
    name: 'writeHead, write, write, end',
    answer(res, log) {
      log(res.writeHead(200, { 'Content-Type': 'text/plain' }) === res)
      log(state(res))
      res.write('one', called(log, 'one'))
      res.write('two', called(log, 'two'))
      res.end(called(log, 'end'))
      log(state(res))
    },
  },
  {
    name: 'flushHeaders, then nothing for a while, then end(text)',
    async answer(res, log) {
      log(res.flushHeaders())
      log(state(res))
      await delay(40)
      res.end('text')
    },
  },
  {
    name: 'flushHeaders twice, write, end',
    answer(res) {
      res.flushHeaders()
      res.flushHeaders()
      res.write('text')
      res.end()
    },
  },
  {
    name: 'statusCode and statusMessage',
    only: 'http1',
    answer(res) {
      res.statusCode = 418
      res.statusMessage = 'Short And Stout'
      res.end('text')
    },
  },
  {
    name: 'statusCode set after the first write changes nothing',
    answer(res) {
      res.statusCode = 201
      res.write('text')
      res.statusCode = 500
      res.end()
    },
  },
  {
    name: 'statusCode set after end changes nothing',
    answer(res) {
      res.end('text')
      res.statusCode = 500
    },
  },
  {
    name: 'statusMessage set after end changes nothing',
    only: 'http1',
    answer(res) {
      res.end('text')
      res.statusMessage = 'Late'
    },
  },
  {
    name: 'the object given to writeHead, used again for something else',
    answer(res) {
      const headers = { 'X-One': '1' }
      res.writeHead(200, headers)
      headers['X-One'] = '2'
      res.end('text')
    },
  },
  {
    name: 'the array given to writeHead, used again for something else',
    answer(res) {
      const headers = ['X-One', '1']
      res.writeHead(200, headers)
      headers[1] = '2'
      res.end('text')
    },
  },
  { name: 'without a Date', answer: res => Object.assign(res, { sendDate: false }).end('text') },
  { name: 'Connection: close by the handler', only: 'http1', answer: res => withHeader(res, 'Connection', 'close').end('text') },
]

const bodies: readonly Case[] = [
  { name: 'HEAD, end(text)', method: 'HEAD', answer: res => withHeader(res, 'Content-Length', 4).end('text') },
  { name: 'HEAD, end()', method: 'HEAD', answer: res => res.end() },
  { name: 'HEAD, writeHead(object), end()', method: 'HEAD', answer: res => res.writeHead(200, { 'Content-Length': 4 }).end() },
  {
    name: 'HEAD, and a writer that waits for drain',
    method: 'HEAD',
    only: 'http1',
    async answer(res, log) {
      for (const chunk of chunks(4, 65_536)) {
        if (!res.write(chunk)) await new Promise<void>(resolve => res.once('drain', resolve))
      }
      res.end(called(log, 'end'))
    },
  },
  { name: '204, end()', answer: res => res.writeHead(204).end() },
  { name: '204 by statusCode, end()', answer: res => Object.assign(res, { statusCode: 204 }).end() },
  { name: '304, end()', answer: res => res.writeHead(304, { ETag: '"1"' }).end() },
  { name: '304, end(text)', only: 'http1', answer: res => res.writeHead(304).end('text') },
  { name: '205, end()', answer: res => res.writeHead(205).end() },
  { name: 'a redirect', answer: res => res.writeHead(302, { Location: '/elsewhere' }).end() },
  { name: 'HTTP/1.0', only: 'http1', version: '1.0', answer: res => res.end('text') },
  {
    name: 'HTTP/1.0, streamed',
    only: 'http1',
    version: '1.0',
    answer(res) {
      res.write('one')
      res.end('two')
    },
  },
  {
    name: 'early hints, then the answer',
    answer(res) {
      res.writeEarlyHints({ link: '</style.css>; rel=preload; as=style' })
      res.end('text')
    },
  },
  { name: '102, then the answer', only: 'http1', answer: (res, _) => [res.writeProcessing(), res.end('text')] },
  {
    name: 'trailers',
    answer(res) {
      res.setHeader('Trailer', 'X-Sum')
      res.write('text')
      res.addTrailers({ 'X-Sum': '1' })
      res.end()
    },
  },
  {
    name: 'trailers after writeHead',
    answer(res) {
      res.writeHead(200, { Trailer: 'X-Sum' })
      res.addTrailers({ 'X-Sum': '1' })
      res.end('text')
    },
  },
]

const streams: readonly Case[] = [
  { name: 'a stream by pipe', answer: res => Readable.from(['one', 'two', 'three']).pipe(res) },
  { name: 'a stream of buffers by pipe', answer: res => Readable.from(chunks(5, 1000)).pipe(res) },
  {
    name: '4 MiB by pipe, against back-pressure',
    answer: res => Readable.from(chunks(64, 65_536)).pipe(res),
  },
  {
    name: '4 MiB by pipeline',
    answer: (res, log) => pipeline(Readable.from(chunks(64, 65_536)), res).then(called(log, 'pipeline')),
  },
  {
    name: '4 MiB by a writer that waits for drain',
    async answer(res, log) {
      for (const chunk of chunks(64, 65_536)) {
        if (!res.write(chunk)) await new Promise<void>(resolve => res.once('drain', resolve))
      }
      res.end(called(log, 'end'))
    },
  },
  {
    name: '2 MiB by a writer that waits for nothing',
    answer(res, log) {
      for (const chunk of chunks(32, 65_536)) res.write(chunk)
      res.end(called(log, 'end'))
    },
  },
  {
    name: 'writes that wait for each callback, in one reused buffer',
    async answer(res) {
      const buffer = Buffer.alloc(4)
      for (const text of ['one ', 'two ', 'tre ']) {
        buffer.write(text)
        await new Promise<void>(resolve => res.write(buffer, () => resolve()))
      }
      res.end()
    },
  },
  {
    name: 'server-sent events',
    async answer(res) {
      res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' })
      for (const i of [1, 2, 3]) {
        res.write(`data: ${i}\n\n`)
        await delay(12)
      }
      res.end()
    },
  },
  {
    name: "'finish' and 'close' come once each, in this order",
    answer(res, log) {
      for (const name of ['finish', 'close']) res.on(name, called(log, name))
      res.write('text')
      res.end()
    },
  },
]

/** The handler goes wrong, and answers to that as it would without sessions. */
const mistakes: readonly Case[] = [
  {
    name: 'headers after the answer',
    only: 'http1',
    answer(res, log) {
      res.end('text')
      refused(log, () => res.setHeader('X-Late', '1'))
      refused(log, () => res.appendHeader('X-Late', '1'))
      refused(log, () => res.setHeaders(new Map()))
      refused(log, () => res.removeHeader('X-Late'))
      refused(log, () => res.writeHead(500))
      log(state(res))
    },
  },
  {
    name: 'headers after the first byte',
    answer(res, log) {
      log(state(res))
      res.write('text')
      log(state(res))
      refused(log, () => res.setHeader('X-Late', '1'))
      refused(log, () => res.removeHeader('X-Late'))
      refused(log, () => res.writeHead(500))
      res.end()
      log(state(res))
    },
  },
  {
    name: 'writeHead twice',
    answer(res, log) {
      res.writeHead(200)
      refused(log, () => res.writeHead(200))
      res.end('text')
    },
  },
  {
    name: 'end twice',
    answer(res, log) {
      res.end('text', called(log, 'first'))
      log(res.end() === res)
      log(res.writableEnded)
    },
  },
  {
    name: 'end(text) after end(text)',
    only: 'http1',
    answer(res, log) {
      res.on('error', error => log(Reflect.get(error, 'code')))
      res.end('text')
      res.end('more', called(log, 'second'))
    },
  },
  {
    name: 'write after end',
    only: 'http1',
    answer(res, log) {
      res.on('error', error => log(Reflect.get(error, 'code')))
      res.end('text')
      log(res.write('more', called(log, 'late write')))
    },
  },
  ...[null, undefined, 123, {}, true].map(
    (chunk): Case => ({
      name: `write(${JSON.stringify(chunk)}), then an answer to that`,
      only: 'http1',
      answer(res, log) {
        refused(log, () => res.write(chunk))
        log(state(res))
        res.writeHead(500).end('sorry')
      },
    }),
  ),
  ...[123, {}, true].map(
    (chunk): Case => ({
      name: `end(${JSON.stringify(chunk)}), then an answer to that`,
      only: 'http1',
      answer(res, log) {
        refused(log, () => res.end(chunk))
        log(state(res))
        res.writeHead(500).end('sorry')
      },
    }),
  ),
  ...[0, 99, 1000, Number.NaN].map(
    (status): Case => ({
      name: `writeHead(${status}), then an answer to that`,
      only: 'http1',
      answer(res, log) {
        refused(log, () => res.writeHead(status, { 'X-One': '1' }))
        log(state(res))
        res.writeHead(500).end('sorry')
      },
    }),
  ),
  {
    name: 'writeHead with words that hold a line break, then an answer to that',
    only: 'http1',
    answer(res, log) {
      refused(log, () => res.writeHead(200, 'Fine\r\nX-Two: b'))
      res.writeHead(500, 'Sorry').end('sorry')
    },
  },
  {
    name: 'statusCode 1000, then an answer to that',
    only: 'http1',
    answer(res, log) {
      res.statusCode = 1000
      refused(log, () => res.end('text'))
      log(res.headersSent)
      res.statusCode = 500
      res.end('sorry')
    },
  },
  ...(
    [
      ['a name that is no token', { 'bad name': '1' }],
      ['a value with a line break', { 'X-One': 'a\r\nX-Two: b' }],
      ['a value that is undefined', { 'X-One': undefined }],
      ['an odd array', ['X-One']],
      ['a pair over a header that was set', [['X-One', '1']]],
      ['two pairs over a header that was set', [['X-One', '1'], ['X-Two', '2']]], // biome-ignore format: pairs
    ] as const
  ).map(
    ([what, headers]): Case => ({
      name: `writeHead with ${what}, then an answer to that`,
      only: 'http1',
      answer(res, log) {
        res.setHeader('X-Zero', '0')
        refused(log, () => Reflect.apply(res.writeHead, res, [200, headers]))
        log(state(res))
        res.end('sorry')
      },
    }),
  ),
]

const aborts: readonly Case[] = [
  {
    name: 'the socket destroyed right after a whole answer, as a last error handler does',
    answer(res, _, req) {
      res.end('text')
      req.socket.destroy()
    },
  },
  {
    name: 'the socket destroyed a moment after a whole answer',
    async answer(res, _, req) {
      res.end('text')
      await delay(5)
      req.socket.destroy()
    },
  },
  {
    name: 'the response destroyed some time after a part of it was written',
    async answer(res) {
      res.writeHead(200, { 'Content-Length': 100 })
      res.write('part')
      await delay(30)
      res.destroy()
    },
  },
  {
    name: 'the response destroyed a moment after a part of it was written',
    async answer(res) {
      res.writeHead(200, { 'Content-Length': 100 })
      res.write('part')
      await delay(5)
      res.destroy()
    },
  },
  {
    name: 'the response destroyed with an error a moment after a part of it was written',
    async answer(res) {
      res.on('error', () => {})
      res.writeHead(200, { 'Content-Length': 100 })
      res.write('part')
      await delay(5)
      res.destroy(new Error('source failed'))
    },
  },
  {
    name: 'the socket destroyed a moment after a part was written',
    async answer(res, _, req) {
      res.writeHead(200, { 'Content-Length': 100 })
      res.write('part')
      await delay(5)
      req.socket.destroy()
    },
  },
  {
    name: 'the response destroyed before anything was written',
    answer: res => res.destroy(),
  },
]

export const cases: readonly Case[] = [...ends, ...writes, ...heads, ...bodies, ...streams, ...mistakes, ...aborts]
