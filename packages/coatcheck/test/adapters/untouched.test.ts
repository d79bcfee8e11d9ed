import { createServer, type ServerResponse } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import express5 from 'express'
import { Hono } from 'hono'
import { afterEach, describe, expect, test, vi } from 'vitest'
import * as forExpress from '../../src/adapters/express.ts'
import * as forHono from '../../src/adapters/hono.ts'
import * as forNode from '../../src/adapters/node.ts'
import type { Session } from '../../src/core/session.ts'
import type { Sessions } from '../../src/core/sessions.ts'
import { Browser } from '../../src/testing/browser.ts'
import { askOver, gatedStore } from '../../src/testing/index.ts'
import { closed, type Listener, listening } from '../http/wire.ts'
import { spaces } from './spaces.ts'

/** All that can be seen of a response: every own property with its descriptor, and what it inherits from. */
type Seen = readonly unknown[]

function seen(response: object): Seen {
  return [Object.getPrototypeOf(response), Reflect.ownKeys(response), Object.getOwnPropertyDescriptors(response)]
}

/** An app that looks at its response before the session middleware and when the handler is done, in turns. */
type Serve = (sessions: Sessions, looks: Seen[]) => Parameters<typeof createServer>[1]

/** `/quiet` alone never asks for the session. */
async function answered(url: string, session: () => Session): Promise<string> {
  if (url === '/quiet') return 'quiet'
  if (url === '/login') await session().login('alice')
  return String(session().userId)
}

const express4: typeof express5 = (await import('express4' as 'express')).default

const served = (express: typeof express5): Serve => {
  return (sessions, looks) =>
    express()
      .use((_req, res, next) => void next(looks.push(seen(res)) && undefined))
      .use(forExpress.session(sessions))
      .use(async (req, res) => {
        const text = await answered(req.url, () => req.session)
        looks.push(seen(res))
        res.end(text)
      })
}

const servers: Readonly<Record<string, Serve>> = {
  'Express 5': served(express5),
  'Express 4': served(express4),
  node(sessions, looks) {
    const enter = forNode.session(sessions)
    return (req, res: ServerResponse) => {
      looks.push(seen(res))
      enter(req, res, async () => {
        const text = await answered(req.url ?? '', () => (req as forNode.RequestWithSession).session)
        looks.push(seen(res))
        res.end(text)
      })
    }
  },
  // What Hono sends is what the handler made: the same object, with the same headers.
  hono(sessions, looks) {
    const app = new Hono()
      .use(async (c, next) => {
        await next()
        looks.push([c.res, Object.fromEntries(c.res.headers)])
      })
      .use(forHono.session(sessions))
      .all('*', async c => {
        const made = c.text(await answered(c.req.path, () => c.var.session))
        looks.push([made, Object.fromEntries(made.headers)])
        return made
      })
    return getRequestListener(app.fetch)
  },
}

async function during(listener: Listener, act: (browser: Browser) => Promise<void>): Promise<void> {
  const port = await listening(listener)
  try {
    await act(new Browser(askOver(`http://127.0.0.1:${port}`)))
  } finally {
    await closed(listener)
  }
}

afterEach(() => {
  vi.restoreAllMocks()
})

describe.each(Object.entries(servers))('%s', (_name, serve) => {
  for (const [store, open] of Object.entries(spaces)) {
    test(`a request of somebody signed in that never touches its session costs one read, no parse, and no wrapping, on ${store}`, async () => {
      const space = await open()
      const gate = gatedStore(space.store)
      const secret = 'thirty-two bytes of text at least, for tests'
      const sessions = forNode.createSessions({ store: gate.store, secret, production: false })
      const looks: Seen[] = []
      await during(createServer(serve(sessions, looks)), async browser => {
        await browser.post('/login')
        const [parse, stringify] = [vi.spyOn(JSON, 'parse'), vi.spyOn(JSON, 'stringify')]
        gate.reset()
        looks.length = 0
        for (let request = 0; request < 10; request++) expect((await browser.get('/quiet')).body).toBe('quiet')
        expect([parse.mock.calls, stringify.mock.calls]).toEqual([[], []])
        expect(Object.entries(gate.calls).filter(([, count]) => count > 0)).toEqual([['read', 10]])
        expect(looks).toHaveLength(20)
        for (let at = 0; at < looks.length; at += 2) expect(same(looks[at], looks[at + 1])).toBe(true)

        // The same eyes see what a touch costs, so that they were not shut before.
        expect((await browser.get('/loud')).body).toBe('alice')
        expect(parse.mock.calls.length).toBeGreaterThan(0)
        expect(same(looks.at(-2), looks.at(-1))).toBe(false)
      })
      await space.close()
    })
  }
})

/** Equal part by part, and functions and objects by identity: a wrapped method is another one. */
function same(one: unknown, two: unknown, depth = 0): boolean {
  if (Object.is(one, two)) return true
  if (typeof one !== 'object' || typeof two !== 'object' || one === null || two === null || depth > 2) return false
  const keys = Reflect.ownKeys(one)
  if (keys.length !== Reflect.ownKeys(two).length) return false
  return keys.every(key => same(Reflect.get(one, key), Reflect.get(two, key), depth + 1))
}
