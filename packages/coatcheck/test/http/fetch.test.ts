import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import type { Exchange, Outgoing } from '../../src/core/exchange.ts'
import { answerTo } from '../../src/core/guard.ts'
import type { Session } from '../../src/core/session.ts'
import { commit, type Failing, finish, finishing, responseOf, withHeaders, withSession } from '../../src/http/fetch.ts'
import { Browser, openWorld, storeKinds, type World } from '../core/world.ts'

const [memory] = storeKinds

/** Errors are answered in JSON, and those that come too late are kept. */
class Errors implements Failing {
  readonly late: unknown[] = []

  refuse(error: unknown): Response {
    return responseOf(answerTo(error))
  }

  tooLate(error: unknown): void {
    this.late.push(error)
  }
}

/** A signed-in person's exchange, whose session the handler has looked at. */
async function onExchange(act: (exchange: Exchange, errors: Errors, world: World) => Promise<void>): Promise<void> {
  const world = openWorld(memory!)
  try {
    const browser = new Browser()
    await browser.login(world.one, 'alice')
    world.gate.reset()
    const exchange = await browser.send(world.one)
    void exchange.session
    await act(exchange, new Errors(), world)
  } finally {
    world.gate.reset()
    await world.close()
  }
}

function change(session: Session, data: Readonly<Record<string, unknown>>): void {
  Object.assign(session, data)
}

function outgoing(given: Partial<Outgoing> = {}): Outgoing {
  return { setCookie: [], personal: false, varies: true, ...given }
}

async function stored({ one }: World): Promise<unknown> {
  const [info] = await one.list('alice')
  return (await one.get(info?.id ?? ''))?.data
}

describe('headers', () => {
  test('a session that nobody looked at leaves the response as it is, the very same', () => {
    const response = new Response('x')
    expect(withHeaders(response, outgoing({ varies: false }))).toBe(response)
    expect([...response.headers.keys()]).toEqual(['content-type'])
  })

  test.each([
    [null, 'Cookie'],
    ['Accept', 'Accept, Cookie'],
    ['*', '*'],
    ['accept, COOKIE', 'accept, COOKIE'],
    ['X-Cookie', 'X-Cookie, Cookie'],
  ])('Vary: %s becomes %s', (before, after) => {
    const headers: Record<string, string> = before === null ? {} : { Vary: before }
    expect(withHeaders(new Response('x', { headers }), outgoing()).headers.get('vary')).toBe(after)
  })

  test.each([
    [true, null, 'private, no-store'],
    [true, 'public, max-age=60', 'public, max-age=60'],
    [false, null, null],
  ])('personal %s, Cache-Control: %s becomes %s', (personal, before, after) => {
    const headers: Record<string, string> = before === null ? {} : { 'Cache-Control': before }
    expect(withHeaders(new Response('x', { headers }), outgoing({ personal })).headers.get('cache-control')).toBe(after)
  })

  test('cookies come after those of the handler, in a copy: the response itself may answer somebody else too', async () => {
    const response = new Response('body', { status: 201, statusText: 'Made', headers: { 'Set-Cookie': 'mine=1', 'X-Mine': '1' } })
    const answered = withHeaders(response, outgoing({ setCookie: ['sid=1', 'visit='] }))
    expect(answered).not.toBe(response)
    expect(answered.headers.getSetCookie()).toEqual(['mine=1', 'sid=1', 'visit='])
    expect(response.headers.getSetCookie()).toEqual(['mine=1'])
    expect([answered.status, answered.statusText, answered.headers.get('x-mine')]).toEqual([201, 'Made', '1'])
    expect(await answered.text()).toBe('body')
  })

  test('headers that cannot be changed are copied: of a redirect, and of what fetch gave', async () => {
    const redirect = withHeaders(Response.redirect('http://example.com/', 307), outgoing())
    expect([redirect.status, redirect.headers.get('location'), redirect.headers.get('vary')]).toEqual([
      307,
      'http://example.com/',
      'Cookie',
    ])
    const server = createServer((_request, response) => response.writeHead(202, { 'X-Up': '1' }).end('from upstream')).listen(0)
    await once(server, 'listening')
    const fetched = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    const proxied = withHeaders(fetched, outgoing({ personal: true }))
    expect([proxied.status, proxied.headers.get('x-up'), proxied.headers.get('vary')]).toEqual([202, '1', 'Cookie'])
    expect(await proxied.text()).toBe('from upstream')
    server.close()
  })

  test.each([204, 205, 304])('a %i without a body stays one', status => {
    const answered = withHeaders(new Response(null, { status }), outgoing({ setCookie: ['sid=1'] }))
    expect([answered.status, answered.body]).toEqual([status, null])
  })
})

describe('commit', () => {
  test('does not wait where nothing changed, and gives the very response', () =>
    onExchange(async (exchange, errors) => {
      const response = new Response('x')
      expect(commit(response, exchange, errors)).toBe(response)
      expect(response.headers.get('cache-control')).toBe('private, no-store')
    }))

  test('law 4: gives the response once the change is saved', () =>
    onExchange(async (exchange, errors, world) => {
      change(exchange.session, { seen: 1 })
      const held = world.gate.hold('replace')
      let answered = false
      const committed = Promise.resolve(commit(new Response('x'), exchange, errors)).finally(() => {
        answered = true
      })
      await held.arrived
      await new Promise(setImmediate)
      expect(answered).toBe(false)
      held.release()
      expect((await committed).status).toBe(200)
      expect(await stored(world)).toEqual({ userId: 'alice', seen: 1 })
    }))

  test('law 6: gives the refusal where the save failed, with nothing of the response, whose stream is cancelled', () =>
    onExchange(async (exchange, errors, world) => {
      change(exchange.session, { seen: 1 })
      world.gate.onCall(({ method }) => {
        if (method === 'replace') throw new Error('no connection')
      })
      const cancelled = Promise.withResolvers<unknown>()
      const body = new ReadableStream({ cancel: cancelled.resolve })
      const refused = await commit(new Response(body, { headers: { 'X-Mine': '1' } }), exchange, errors)
      expect([refused.status, refused.headers.get('x-mine')]).toEqual([503, null])
      expect(await refused.json()).toEqual({ error: 'Service unavailable', code: 'STORE_UNAVAILABLE' })
      expect(await cancelled.promise).toMatchObject({ code: 'STORE_UNAVAILABLE' })
    }))

  test('gives the refusal at once where the data cannot be stored', () =>
    onExchange(async (exchange, errors) => {
      change(exchange.session, { itself: exchange.session })
      const refused = commit(new Response('x'), exchange, errors)
      expect(refused).toBeInstanceOf(Response)
      expect((await refused).status).toBe(500)
    }))

  test('is refused where the body was read already, and the refusal goes out all the same', () =>
    onExchange(async (exchange, errors, world) => {
      change(exchange.session, { seen: 1 })
      world.gate.onCall(({ method }) => {
        if (method === 'replace') throw new Error('no connection')
      })
      const response = new Response('x')
      response.body?.getReader()
      expect((await commit(response, exchange, errors)).status).toBe(503)
    }))
})

describe('streams', () => {
  const text = (body: ReadableStream) => new Response(body).text()

  function streamOf(...parts: readonly (string | (() => unknown))[]): ReadableStream<Uint8Array> {
    const rest = [...parts]
    return new ReadableStream({
      async pull(controller) {
        const part = rest.shift()
        if (part === undefined) controller.close()
        else if (typeof part === 'string') controller.enqueue(new TextEncoder().encode(part))
        else if ((await part()) === undefined) await this.pull?.(controller)
      },
    })
  }

  test.each([
    { 'Content-Type': 'text/event-stream' },
    { 'Content-Type': 'text/event-stream; charset=utf-8' },
    { 'Transfer-Encoding': 'chunked' },
  ])('with %o: what its writer changes is saved before the end', headers =>
    onExchange(async (exchange, errors, world) => {
      const body = streamOf('first', () => change(exchange.session, { late: 1 }), 'last')
      const response = await withSession(new Response(body, { headers }), exchange, errors)
      expect(response.headers.get('vary')).toBe('Cookie')
      expect(await response.text()).toBe('firstlast')
      expect(await stored(world)).toEqual({ userId: 'alice', late: 1 })
      expect(errors.late).toEqual([])
    }),
  )

  test('other responses are not looked into: it is the very response, with the very body', () =>
    onExchange(async (exchange, errors) => {
      const body = streamOf('x')
      const response = new Response(body, { headers: { 'Content-Type': 'text/html' } })
      expect(await withSession(response, exchange, errors)).toBe(response)
      expect(response.body).toBe(body)
    }))

  test('a head without a body, as of HEAD or 304, has nothing to wait for', () =>
    onExchange(async (exchange, errors) => {
      const response = new Response(null, { status: 304, headers: { 'Content-Type': 'text/event-stream' } })
      expect(await withSession(response, exchange, errors)).toBe(response)
    }))

  test('the refusal of a stream is no stream', () =>
    onExchange(async (exchange, errors) => {
      change(exchange.session, { itself: exchange.session })
      const headers = { 'Content-Type': 'text/event-stream' }
      const refused = await withSession(new Response(streamOf('x'), { headers }), exchange, errors)
      expect(refused.headers.get('content-type')).toMatch(/^application\/json/)
    }))

  test('a late change that cannot be saved is told, and the stream ends as it stands', () =>
    onExchange(async (exchange, errors) => {
      await exchange.commit()
      const body = streamOf('first', () => change(exchange.session, { role: 'admin' }), 'last')
      expect(await text(finishing(body, exchange, errors))).toBe('firstlast')
      expect(errors.late).toEqual([expect.objectContaining({ code: 'RESPONSE_STARTED' })])
    }))

  test("a stream that fails fails its reader too, with the writer's own error", () =>
    onExchange(async (exchange, errors) => {
      const body = streamOf('first', () => Promise.reject(new Error('torn')))
      await expect(text(finishing(body, exchange, errors))).rejects.toThrow('torn')
    }))

  test('who cancels it cancels the source, and what was changed until then is saved', () =>
    onExchange(async (exchange, errors, world) => {
      await exchange.commit()
      change(exchange.session, { late: 1 })
      const cancelled = Promise.withResolvers<unknown>()
      const followed = finishing(new ReadableStream({ cancel: cancelled.resolve }), exchange, errors)
      await followed.cancel('left')
      expect(await cancelled.promise).toBe('left')
      expect(await stored(world)).toEqual({ userId: 'alice', late: 1 })
    }))

  test('a source that does not let itself be cancelled keeps nothing from being saved', () =>
    onExchange(async (exchange, errors, world) => {
      await exchange.commit()
      change(exchange.session, { late: 1 })
      const source = new ReadableStream({ cancel: () => Promise.reject(new Error('stubborn')) })
      await expect(finishing(source, exchange, errors).cancel()).rejects.toThrow('stubborn')
      expect(await stored(world)).toEqual({ userId: 'alice', late: 1 })
    }))

  test('nothing is read ahead', async () => {
    let pulled = 0
    const source = new ReadableStream({ pull: controller => controller.enqueue(++pulled) }, { highWaterMark: 0 })
    const reader = finishing(source, { finish() {} }, new Errors()).getReader()
    await new Promise(setImmediate)
    expect(pulled).toBe(0)
    expect(await reader.read()).toEqual({ done: false, value: 1 })
    expect(pulled).toBe(1)
  })

  test('an exchange that has nothing left to save is finished without a word', async () => {
    const errors = new Errors()
    await finish({ finish() {} }, errors)
    expect(errors.late).toEqual([])
  })
})

test('an answer without a body has none, and no content type', () => {
  const response = responseOf({ status: 303, headers: { Location: '/login' }, body: '' })
  expect([response.status, response.body, response.headers.get('content-type')]).toEqual([303, null, null])
})
