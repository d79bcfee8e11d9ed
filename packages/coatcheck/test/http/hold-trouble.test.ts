import { EventEmitter, once } from 'node:events'
import { createServer, IncomingMessage, ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { type Duplex, PassThrough, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import compression from 'compression'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import type { NodeRequest, NodeServerResponse } from '../../src/adapters/node.ts'
import { CoatcheckError } from '../../src/core/errors.ts'
import type { Exchange, RequestFacts } from '../../src/core/exchange.ts'
import type { Session } from '../../src/core/session.ts'
import { createSessions } from '../../src/core/sessions.ts'
import { hold } from '../../src/http/hold.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { gatedStore } from '../../src/testing/gate.ts'
import type { Response } from './hold-cases.ts'
import { type Asked, exchangeBytes, http1Wire, http2Wire, type Reply } from './wire.ts'

const facts: RequestFacts = { secure: () => false, ip: () => undefined, userAgent: () => undefined }
const gate = gatedStore(memoryStore())
const sessions = createSessions({ store: gate.store, secret: 'a secret of thirty-two bytes at least', production: false })
const outage = () => new CoatcheckError('STORE_UNAVAILABLE', 'made to fail by the test')
const OUTAGE = '{"error":"Service unavailable","code":"STORE_UNAVAILABLE"}'

interface Scene {
  readonly req: IncomingMessage
  readonly res: Response
  readonly session: Session
  /** Touches the session now. */
  readonly touch: () => Session
}

/** Sets keys of the data that the type does not know. */
function change(session: Session, data: Readonly<Record<string, unknown>>): void {
  Object.assign(session, data)
}

type Act = (scene: Scene) => unknown

let act: Act = () => {}
let cookie: string | undefined
const told = new EventEmitter<{ failure: [unknown] }>()

async function listener(req: NodeRequest, res: NodeServerResponse): Promise<void> {
  const exchange: Exchange = await sessions.open(cookie, facts)
  const touch = () => {
    const { session } = exchange
    hold(res, exchange, error => told.emit('failure', error))
    return session
  }
  const scene = { req: req as IncomingMessage, res: res as Response, touch }
  await act({ ...scene, get session() { return touch() } }) // biome-ignore format: one line
}

const wires = { http1: await http1Wire(listener), http2: await http2Wire(listener) }

afterAll(async () => {
  for (const wire of Object.values(wires)) await wire.close()
})

beforeEach(async () => {
  gate.reset()
  cookie = await sessions.issue('alice')
})

async function stored(): Promise<Record<string, unknown> | undefined> {
  const exchange = await sessions.open(cookie, facts)
  return { ...exchange.session }
}

for (const [protocol, wire] of Object.entries(wires)) {
  const ask = (next: Act, asked: Asked = {}): Promise<Reply> => {
    act = next
    return wire.ask(asked)
  }
  const statusOf = (reply: Reply) => Number(/(?:HTTP\/1.1 |:status: )(\d+)/.exec(reply.text)?.[1])
  const headOf = (reply: Reply) => reply.text.slice(0, reply.text.indexOf('\r\n\r\n'))
  const bodyOf = (reply: Reply) => reply.text.slice(reply.text.indexOf('\r\n\r\n') + 4)

  describe(`${protocol}: saved before sent`, () => {
    for (const [name, begin] of Object.entries({
      writeHead: res => res.writeHead(200),
      flushHeaders: res => res.flushHeaders(),
      write: res => res.write('text'),
      end: res => res.end('text'),
    } satisfies Record<string, (res: Response) => unknown>)) {
      test(`law 4: nothing of a ${name} leaves before the save is done`, async () => {
        const held = gate.hold('replace')
        let replied = false
        const reply = ask(({ res, session }) => {
          change(session, { count: 1 })
          begin(res)
          if (!res.writableEnded) res.end()
        }).finally(() => {
          replied = true
        })
        await held.arrived
        await delay(30)
        expect(replied).toBe(false)
        expect(await stored()).toEqual({ userId: 'alice' })
        held.release()
        expect(statusOf(await reply)).toBe(200)
        expect(await stored()).toEqual({ userId: 'alice', count: 1 })
      })
    }

    test('an unchanged session makes no store call and no wait', async () => {
      gate.reset()
      const reply = await ask(({ res, session }) => {
        expect(session.userId).toBe('alice')
        res.end('text')
        expect(res.headersSent).toBe(true)
        expect(Object.hasOwn(res, 'headersSent')).toBe(false)
      })
      expect(bodyOf(reply)).toBe('text')
      expect(Object.entries(gate.calls).filter(([, count]) => count > 0)).toEqual([['read', 1]])
    })

    test('law 4: data that changes after the first byte is saved before the last one leaves', async () => {
      const held = gate.hold('replace')
      let ended = false
      const reply = ask(async ({ res, session }) => {
        res.write('first ')
        change(session, { count: 2 })
        res.end('last', () => {
          ended = true
        })
        expect(res.writableEnded).toBe(true)
      })
      await held.arrived
      await delay(20)
      expect(ended).toBe(false)
      held.release()
      expect(bodyOf(await reply)).toContain('last')
      expect(await stored()).toEqual({ userId: 'alice', count: 2 })
    })

    test('data that changes while a finished answer is held is saved too', async () => {
      const held = gate.hold('replace')
      const reply = ask(async ({ res, session }) => {
        change(session, { count: 1 })
        res.end('text')
        await held.arrived
        change(session, { count: 2 })
        held.release()
      })
      expect(bodyOf(await reply)).toContain('text')
      expect(await stored()).toEqual({ userId: 'alice', count: 2 })
    })

    test('a session first looked at after the first byte is saved at the end', async () => {
      const reply = await ask(({ res, touch }) => {
        res.write('first ')
        change(touch(), { count: 3 })
        res.end('last')
      })
      expect(headOf(reply)).not.toMatch(/vary|set-cookie/i)
      expect(await stored()).toEqual({ userId: 'alice', count: 3 })
    })

    test('data that changes after node has refused the head is saved at the end', async () => {
      const reply = await ask(({ res, session }) => {
        expect(() => res.writeHead(200, { 'no name': 'x' })).toThrow()
        change(session, { count: 4 })
        res.end('last')
      })
      expect(bodyOf(reply)).toContain('last')
      expect(await stored()).toEqual({ userId: 'alice', count: 4 })
    })

    test('a failure to save late data ends the answer as it stands, and is told', async () => {
      const failure = once(told, 'failure')
      const reply = await ask(({ res, session }) => {
        res.write('first ')
        change(session, { count: 4 })
        gate.onCall(({ method }) => {
          if (method === 'replace') throw outage()
        })
        res.end('last')
      })
      expect(bodyOf(reply)).toContain('last')
      expect(await failure).toEqual([expect.objectContaining({ code: 'STORE_UNAVAILABLE' })])
    })

    test('an identity that changes after the first byte ends the answer as it stands, and is told', async () => {
      const failure = once(told, 'failure')
      const reply = await ask(({ res, session }) => {
        res.write('first ')
        session.userId = 'mallory'
        res.end('last')
      })
      expect(bodyOf(reply)).toContain('last')
      expect(await failure).toEqual([expect.objectContaining({ name: 'CoatcheckError' })])
      expect(await stored()).toEqual({ userId: 'alice' })
    })
  })

  describe(`${protocol}: law 6: a save that fails replaces the answer`, () => {
    const answers: Record<string, (res: Response, done: () => void) => unknown> = {
      'end(text, callback)': (res, done) => res.end('secret', done),
      'write(text), end(callback)': (res, done) => [res.write('secret'), res.end(done)],
      'writeHead(object), end(text)': (res, done) => res.writeHead(201, { 'X-Mine': '1' }).end('secret', done),
      'a 204': (res, done) => res.writeHead(204).end(done),
      'flushHeaders, and the rest much later': async (res, done) => {
        res.flushHeaders()
        await delay(50)
        if (protocol === 'http1') expect(() => res.writeHead(200)).toThrow()
        res.write('secret')
        res.end(done)
      },
      'a writer that waits for drain': async (res, done) => {
        for (let i = 0; i < 8; i++) if (!res.write(Buffer.alloc(100_000, 'secret'))) await once(res, 'drain')
        res.end(done)
      },
      'a stream by pipeline': (res, done) => pipeline(Readable.from([Buffer.alloc(200_000), 'secret']), res).then(done, done),
      trailers: (res, done) => [res.write('secret'), res.addTrailers({ 'X-Mine': '1' }), res.end(done)],
    }

    for (const [name, begin] of Object.entries(answers)) {
      test(`of ${name}: 503, no header and no byte of the handler's, and its callback is called`, async () => {
        let done: Promise<unknown> | undefined
        const reply = await ask(({ res, session }) => {
          gate.onCall(async ({ method }) => {
            await delay(5)
            if (method === 'replace') throw outage()
          })
          change(session, { count: 1 })
          res.setHeader('X-Mine', '1')
          res.setHeader('Set-Cookie', 'mine=1')
          res.setHeader('Content-Length', 5)
          res.removeHeader('Content-Length')
          res.setHeader('Date', 'Thu, 01 Jan 1970 00:00:00 GMT')
          res.statusCode = 201
          if (protocol === 'http1') res.statusMessage = 'Mine'
          done = new Promise<void>(resolve => void begin(res, resolve))
        })
        expect(statusOf(reply)).toBe(503)
        expect(reply.text).not.toMatch(/mine|secret|sid=|1970/i)
        if (protocol === 'http1') expect(reply.text).toMatch(/^HTTP\/1.1 503 Service Unavailable\r\n/)
        expect(headOf(reply)).toMatch(/^date: /im)
        expect(headOf(reply)).toMatch(/^content-type: application\/json; charset=utf-8$/im)
        expect(headOf(reply)).toMatch(/^cache-control: no-store$/im)
        expect(headOf(reply)).toMatch(new RegExp(`^content-length: ${OUTAGE.length}$`, 'im'))
        expect(bodyOf(reply)).toBe(OUTAGE)
        await done
        expect(await stored()).toEqual({ userId: 'alice' })
      })
    }

    test('of a HEAD request: the same head and no body', async () => {
      const reply = await ask(
        ({ res, session }) => {
          gate.failNext('replace', 'before', outage())
          gate.failNext('replace', 'before', outage())
          gate.failNext('replace', 'before', outage())
          change(session, { count: 1 })
          res.end('secret')
        },
        { method: 'HEAD' },
      )
      expect(statusOf(reply)).toBe(503)
      expect(headOf(reply)).toMatch(new RegExp(`^content-length: ${OUTAGE.length}$`, 'im'))
      expect(bodyOf(reply)).toBe('')
    })

    test('what the handler does afterwards is no second answer', async () => {
      const reply = await ask(async ({ res, session }) => {
        change(session, { anything: 1n })
        res.end('secret')
        expect(res.headersSent).toBe(true)
        expect(res.write('more')).toBe(true)
        expect(res.end('and more')).toBe(res)
        expect(() => res.setHeader('X-Mine', '1')).toThrow()
        if (protocol === 'http1') expect(() => res.writeHead(200)).toThrow()
      })
      expect(statusOf(reply)).toBe(500)
      expect(bodyOf(reply)).toBe('{"error":"Internal server error","code":"BAD_SESSION_DATA"}')
    })

    test('of a head that node had refused, and that is written again when the save has failed long since', async () => {
      const reply = await ask(async ({ res, session }) => {
        gate.onCall(({ method }) => {
          if (method === 'replace') throw outage()
        })
        change(session, { count: 1 })
        expect(() => res.writeHead(200, { 'X-Mine': 'a\r\nb' })).toThrow()
        await delay(700)
        res.writeHead(500).end('sorry')
      })
      expect(statusOf(reply)).toBe(503)
      expect(bodyOf(reply)).toBe(OUTAGE)
    })

    test('of a writeHead that fails on the spot', async () => {
      const reply = await ask(({ res, session }) => {
        change(session, { anything: 1n })
        expect(res.writeHead(200, { 'X-Mine': '1' })).toBe(res)
        res.write('secret')
        res.end()
      })
      expect(statusOf(reply)).toBe(500)
      expect(reply.text).not.toMatch(/mine|secret/i)
    })
  })

  describe(`${protocol}: what else touches the response`, () => {
    const text = 'compressible '.repeat(500)
    const headers = { 'accept-encoding': 'gzip' }
    const useCompression = (scene: Scene) => Reflect.apply(compression(), undefined, [scene.req, scene.res, () => {}])

    const orders: Record<string, (scene: Scene) => Session> = {
      'compression before the session': scene => {
        useCompression(scene)
        return scene.touch()
      },
      'compression after the session': scene => {
        const session = scene.touch()
        useCompression(scene)
        return session
      },
    }
    for (const [name, prepare] of Object.entries(orders)) {
      for (const changed of [false, true]) {
        test(`${name}, ${changed ? 'changed' : 'unchanged'}: the same bytes as without a session`, async () => {
          const answer = ({ res }: Scene) => {
            res.setHeader('Content-Type', 'text/plain')
            res.write(text.slice(0, 100))
            res.end(text.slice(100))
          }
          const bare = await ask(scene => void [useCompression(scene), answer(scene)], { headers })
          const reply = await ask(
            scene => {
              const session = prepare(scene)
              if (changed) change(session, { count: Math.random() })
              answer(scene)
            },
            { headers },
          )
          expect(headOf(reply)).toMatch(/^content-encoding: gzip$/im)
          expect(headOf(reply)).toMatch(/^vary: (accept-encoding, cookie|cookie, accept-encoding)$/im)
          expect(bodyOf(reply)).toBe(bodyOf(bare))
        })
      }

      test(`${name}: a failed save is answered in plain JSON`, async () => {
        const reply = await ask(
          scene => {
            change(prepare(scene), { anything: 1n })
            scene.res.setHeader('Content-Type', 'text/plain')
            scene.res.end(text)
          },
          { headers },
        )
        expect(statusOf(reply)).toBe(500)
        expect(headOf(reply)).not.toMatch(/content-encoding/i)
        expect(bodyOf(reply)).toContain('BAD_SESSION_DATA')
      })
    }

    test("law 5: a Set-Cookie array of the application's is not added to: it would carry one person's token to the next", async () => {
      const constant = ['theme=dark']
      const reply = await ask(async ({ res, session }) => {
        await session.rotate()
        res.setHeader('Set-Cookie', constant)
        res.end('text')
      })
      expect(headOf(reply)).toMatch(/sid=/)
      expect(constant).toEqual(['theme=dark'])
    })

    test('writes beyond the high-water mark are told to wait, and drain comes after the save', async () => {
      const held = gate.hold('replace')
      const seen: unknown[] = []
      const reply = ask(async ({ res, session }) => {
        change(session, { count: 1 })
        const limit = res.writableHighWaterMark
        seen.push(res.write(Buffer.alloc(limit - 1, 'a')), res.writableNeedDrain, res.write('b'), res.writableNeedDrain)
        res.once('drain', () => {
          seen.push('drain')
          res.end('c')
        })
      })
      await held.arrived
      await delay(20)
      expect(seen).toEqual([true, false, false, true])
      held.release()
      expect(bodyOf(await reply)).toContain('c')
      expect(seen).toEqual([true, false, false, true, 'drain'])
    })

    test('two sessions of one response are both saved, and both say so', async () => {
      const second = createSessions({
        store: memoryStore(),
        secret: 'a secret of thirty-two bytes at least',
        production: false,
        cookie: { visitName: 'other' },
      })
      const reply = await ask(async ({ res, session }) => {
        const exchange = await second.open(undefined, facts)
        change(exchange.session, { count: 1 })
        hold(res, exchange, () => {})
        change(session, { count: 5 })
        res.end('text')
      })
      expect(headOf(reply)).toMatch(/^set-cookie: other/im)
      expect(await stored()).toEqual({ userId: 'alice', count: 5 })
    })
  })

  describe(`${protocol}: a client that leaves`, () => {
    const leaving: Record<string, (client: Socket) => unknown> = {
      'resets the connection': client => client.resetAndDestroy(),
      'closes the connection': client => client.destroy(),
    }
    for (const [how, leave] of Object.entries(leaving)) {
      test(`and ${how} while the answer is held: that is seen at once, the change is saved all the same`, async () => {
        const held = gate.hold('replace')
        const closed = Promise.withResolvers<void>()
        act = ({ res, session }) => {
          change(session, { count: 6 })
          res.on('close', () => closed.resolve())
          res.write('text')
          res.end('more')
        }
        const client = connect(wire.port, '127.0.0.1')
        if (protocol === 'http1') client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
        else void abandonHttp2(wire.port, held.arrived)
        await held.arrived
        leave(client)
        await closed.promise
        held.release()
        await delay(20)
        expect(await stored()).toEqual({ userId: 'alice', count: 6 })
      })
    }

    test('before the answer: the change is saved when the handler ends the response', async () => {
      const arrived = Promise.withResolvers<void>()
      const saved = Promise.withResolvers<void>()
      act = async ({ res, session }) => {
        change(session, { count: 7 })
        arrived.resolve()
        await once(res, 'close')
        res.end('text')
        await delay(20)
        saved.resolve()
      }
      const client = connect(wire.port, '127.0.0.1')
      if (protocol === 'http1') client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
      else void abandonHttp2(wire.port, arrived.promise)
      await arrived.promise
      client.resetAndDestroy()
      await saved.promise
      expect(await stored()).toEqual({ userId: 'alice', count: 7 })
    })
  })
}

/** Begins a request, and cancels it once `moment` has come. */
async function abandonHttp2(port: number, moment: Promise<unknown>): Promise<void> {
  const { connect: connectHttp2, constants } = await import('node:http2')
  const client = connectHttp2(`http://127.0.0.1:${port}`)
  client.on('error', () => {})
  const stream = client.request({ ':path': '/' })
  stream.on('error', () => {})
  stream.on('close', () => client.close())
  await moment
  stream.close(constants.NGHTTP2_CANCEL)
}

describe('http1: a connection that stays', () => {
  const server = createServer(listener)
  const port = new Promise<number>(resolve =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
  )
  afterAll(() => void server.close())

  const get = (path: string, last = false) => `GET ${path} HTTP/1.1\r\nHost: x\r\n${last ? 'Connection: close\r\n' : ''}\r\n`

  test('pipelined requests are answered in their order, whichever save is done first', async () => {
    const waits: Record<string, number> = { '/1': 40, '/2': 5, '/3': 20 }
    gate.onCall(({ method, moment }) =>
      method === 'create' && moment === 'before' ? delay(waits[current.shift() ?? '']) : undefined,
    )
    const current: string[] = []
    cookie = undefined
    act = ({ req, res, session }) => {
      current.push(req.url ?? '')
      change(session, { count: 1 })
      res.end(`answer ${req.url}`)
    }
    const { text } = await exchangeBytes(await port, get('/1') + get('/2') + get('/3', true))
    expect(text.match(/answer \/\d/g)).toEqual(['answer /1', 'answer /2', 'answer /3'])
  })

  test('a replaced answer leaves the connection fit for the next request', async () => {
    act = ({ req, res, session }) => {
      if (req.url === '/bad') change(session, { anything: 1n })
      res.setHeader('X-Mine', '1')
      res.end(`answer ${req.url}`)
    }
    const { text } = await exchangeBytes(await port, get('/bad') + get('/good', true))
    expect(text).toMatch(/^HTTP\/1.1 500 .*BAD_SESSION_DATA"\}HTTP\/1.1 200 OK.*answer \/good$/s)
    expect(text.match(/X-Mine/g)).toHaveLength(1)
  })

  test('a Connection: close of the handler is about the connection, and stays on a replaced answer', async () => {
    act = ({ res, session }) => {
      change(session, { anything: 1n })
      res.setHeader('Connection', 'close')
      res.end('text')
    }
    const { text } = await exchangeBytes(await port, get('/'))
    expect(text).toMatch(/^HTTP\/1.1 500 /)
    expect(text).toMatch(/\r\nConnection: close\r\n/)
  })
})

test('a response without a connection, as a cloud function brings it, is held and released like any other', async () => {
  for (const changes of [{ count: 1 }, { anything: 1n }]) {
    const req = new IncomingMessage(Object.assign(new EventEmitter(), { remoteAddress: '192.0.2.7' }) as Socket)
    const res = new ServerResponse(req)
    const bytes = new PassThrough()
    res.assignSocket(bytes as Duplex as Socket)
    const finished = once(res, 'finish')
    act = ({ res, session }) => {
      change(session, changes)
      res.end('text')
    }
    await listener(req, res)
    await finished
    expect(String(bytes.read())).toMatch('count' in changes ? /^HTTP\/1.1 200 .*text$/s : /^HTTP\/1.1 500 .*BAD_SESSION_DATA/s)
  }
})
