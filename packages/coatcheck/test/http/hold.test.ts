import type { IncomingMessage } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type express5 from 'express'
import { afterAll, describe, expect, test } from 'vitest'
import type { NodeRequest, NodeServerResponse } from '../../src/adapters/node.ts'
import type { RequestFacts } from '../../src/core/exchange.ts'
import { createSessions } from '../../src/core/sessions.ts'
import { hold } from '../../src/http/hold.ts'
import type { NodeResponse } from '../../src/http/node-response.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { gatedStore } from '../../src/testing/gate.ts'
import { type Case, cases, type Response } from './hold-cases.ts'
import { http1Wire, http2Wire, unchunked, type Wire } from './wire.ts'

const SAVE_MS = 20
const facts: RequestFacts = { secure: () => false, ip: () => undefined, userAgent: () => undefined }

const gate = gatedStore(memoryStore())
const sessions = createSessions({ store: gate.store, secret: 'a secret of thirty-two bytes at least', production: false })
const writes = new Set(['create', 'replace'])
const signedIn = await sessions.issue('alice')

/** How the session takes part in the same answer. */
const parts = {
  none: undefined,
  'session unchanged': { cookie: signedIn, changes: false },
  'session changed': { cookie: signedIn, changes: true },
  'session born': { cookie: undefined, changes: true },
} as const

type Part = keyof typeof parts

const logs = new Map<string, unknown[]>()
const failures: unknown[] = []

/** `/<number of the case>/<part>/<port of the wire>` */
async function answer(req: NodeRequest, res: NodeServerResponse): Promise<void> {
  const [, number, part] = decodeURI(req.url ?? '').split('/')
  const log = logs.get(req.url ?? '') as unknown[]
  await takePart(res, parts[part as Part])
  try {
    await (cases[Number(number)] as Case).answer(res as Response, entry => log.push(entry), req as IncomingMessage)
  } catch (error) {
    log.push(error)
    res.destroy()
  }
}

async function takePart(res: NodeResponse, part: (typeof parts)[Part]): Promise<void> {
  if (part === undefined) return
  const exchange = await sessions.open(part.cookie, facts)
  if (part.changes) Object.assign(exchange.session, { seen: Math.random() })
  expect(exchange.session).toBeDefined()
  hold(res, exchange, error => failures.push(error))
}

gate.onCall(async ({ method, moment }) => {
  if (moment === 'before' && writes.has(method)) await delay(SAVE_MS)
})

/** The client's view without what the session adds. */
function withoutSession(text: string): string {
  return text.replaceAll(/\r\n(?:Set-Cookie: (?:sid|visit)=[^\r]*|Vary: Cookie|Cache-Control: private, no-store)(?=\r\n)/gi, '')
}

async function run(wire: Wire, number: number, part: Part) {
  const { method, headers, version } = cases[number] as Case
  const path = encodeURI(`/${number}/${part}/${wire.port}`)
  const log: unknown[] = []
  logs.set(path, log)
  const reply = await wire.ask({ path, ...(method && { method }), ...(headers && { headers }), ...(version && { version }) })
  await delay(5)
  return { reply, log }
}

/** Express answers through a prototype of its own, before node's. */
async function throughExpress(name: 'express' | 'express4'): Promise<Wire> {
  const { default: express } = (await import(name)) as { default: typeof express5 }
  return http1Wire(express().use((req, res) => answer(req, res)))
}

const wires = {
  http1: await http1Wire(answer),
  'http1 through Express 5': await throughExpress('express'),
  'http1 through Express 4': await throughExpress('express4'),
  http2: await http2Wire(answer),
}

afterAll(async () => {
  for (const wire of Object.values(wires)) await wire.close()
})

for (const [protocol, wire] of Object.entries(wires)) {
  describe.concurrent(`${protocol}: with a session as without, to the byte`, () => {
    for (const [number, { name, only }] of cases.entries()) {
      if (only !== undefined && !protocol.startsWith(only)) continue
      test(name, async () => {
        const bare = await run(wire, number, 'none')
        for (const part of ['session unchanged', 'session changed', 'session born'] as const) {
          const held = await run(wire, number, part)
          expect(unchunked(withoutSession(held.reply.text)), part).toBe(unchunked(bare.reply.text))
          expect(held.reply.broken, part).toBe(bare.reply.broken)
          expect(held.log, part).toEqual(bare.log)
          if (bare.reply.text.trim() !== '') expect(held.reply.text, part).toMatch(/^vary: cookie\r$/im)
          if (part === 'session born' && bare.reply.text.trim() !== '') expect(held.reply.text).toMatch(/^set-cookie: visit=/im)
        }
      })
    }
  })
}
