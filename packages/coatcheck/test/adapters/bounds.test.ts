import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import express from 'express'
import { Hono } from 'hono'
import { describe, expect, test } from 'vitest'
import * as forExpress from '../../src/adapters/express.ts'
import * as forHono from '../../src/adapters/hono.ts'
import * as forNode from '../../src/adapters/node.ts'
import type { Sessions } from '../../src/core/sessions.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { Browser } from '../../src/testing/browser.ts'
import { askOver, type Gate, gatedStore } from '../../src/testing/index.ts'
import { closed, listening } from '../http/wire.ts'

const CHUNK = Buffer.alloc(64 * 1024, 'x')
const CHUNKS = 200

/** Counts the bytes of a long answer that have left its writer's hands. */
interface Meter {
  written: number
}

/** Any path sets a key of that name; `/long` then answers with 12.5 MiB, at the pace that it is told. */
type Serve = (sessions: Sessions, meter: Meter) => Parameters<typeof createServer>[1]

async function answerLong(response: ServerResponse, meter: Meter): Promise<void> {
  for (let chunk = 0; chunk < CHUNKS; chunk++) {
    meter.written += CHUNK.length
    if (!response.write(CHUNK)) await once(response, 'drain')
  }
  response.end()
}

function pulled(meter: Meter): ReadableStream<Uint8Array> {
  return new ReadableStream({
    pull(controller) {
      if (meter.written === CHUNK.length * CHUNKS) return controller.close()
      meter.written += CHUNK.length
      controller.enqueue(CHUNK)
    },
  })
}

const servers: Readonly<Record<string, Serve>> = {
  express: (sessions, meter) =>
    express()
      .use(forExpress.session(sessions))
      .use(async (req, res) => {
        if (req.path === '/login') await req.session.login('alice')
        else Object.assign(req.session, { [req.path]: 1 })
        if (req.path === '/long') await answerLong(res, meter)
        else res.end('ok')
      }),
  node: (sessions, meter) =>
    forNode.withSession(sessions, async (req, res) => {
      if (req.url === '/login') await req.session.login('alice')
      else Object.assign(req.session, { [req.url ?? '']: 1 })
      if (req.url === '/long') await answerLong(res, meter)
      else res.end('ok')
    }),
  hono(sessions, meter) {
    const app = new Hono().use(forHono.session(sessions)).all('*', async c => {
      if (c.req.path === '/login') await c.var.session.login('alice')
      else Object.assign(c.var.session, { [c.req.path]: 1 })
      return c.req.path === '/long' ? c.body(pulled(meter)) : c.text('ok')
    })
    return getRequestListener(app.fetch)
  },
}

async function signedIn(serve: Serve, act: (browser: Browser, gate: Gate, meter: Meter) => Promise<void>): Promise<void> {
  const gate = gatedStore(memoryStore())
  const secret = 'thirty-two bytes of text at least, for tests'
  const sessions = forNode.createSessions({ store: gate.store, secret, production: false })
  const meter = { written: 0 }
  const server = createServer(serve(sessions, meter))
  try {
    const browser = new Browser(askOver(`http://127.0.0.1:${await listening(server)}`))
    await browser.post('/login')
    gate.reset()
    await act(browser, gate, meter)
  } finally {
    gate.reset()
    server.closeAllConnections()
    await closed(server)
  }
}

describe.each(Object.entries(servers))('%s', (_name, serve) => {
  test('law 11: of 520 requests at once that change one session those beyond the line get a 503, and no acknowledged change is lost', {
    timeout: 60_000,
  }, async () => {
    await signedIn(serve, async (browser, gate) => {
      const held = gate.hold('replace')
      let refused = 0
      const replies = Array.from({ length: 520 }, async (_, i) => {
        const reply = await new Browser(browser.ask, browser).post(`/key${i}`)
        if (reply.status === 503) refused++
        return reply
      })
      // One is at work, 500 wait, and the rest is answered while nothing else can be; on a machine so slow that this takes
      // ten seconds, some of the first have waited too long as well.
      await expect.poll(() => refused, { timeout: 30_000 }).toBeGreaterThanOrEqual(19)
      held.release()
      const settled = await Promise.all(replies)
      const busy = settled.filter(({ status }) => status === 503)
      expect(busy.length).toBeGreaterThanOrEqual(19)
      for (const { body, headers } of busy) {
        expect(JSON.parse(body)).toMatchObject({ code: 'SESSION_CONFLICT' })
        expect(headers.get('retry-after')).toBe('1')
      }
      const { records } = await gate.store.scan(null, 10)
      const data = JSON.parse(records[0]?.data ?? '') as Record<string, unknown>
      for (const [i, { status }] of settled.entries()) expect(data[`/key${i}`], `key${i}`).toBe(status === 200 ? 1 : undefined)
    })
  })

  test('law 11: a long answer that waits for a save is not gathered in memory: its writer is told to wait too', async () => {
    await signedIn(serve, async (browser, gate, meter) => {
      const held = gate.hold('replace')
      const reply = browser.get('/long')
      await held.arrived
      await new Promise(resolve => setTimeout(resolve, 500))
      expect(meter.written).toBeLessThanOrEqual(2 * CHUNK.length)
      held.release()
      expect((await reply).body.length).toBe(CHUNKS * CHUNK.length)
    })
  })
})
