import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { memoryStore } from 'coatcheck/memory'
import session from 'express-session'
import { coatcheckApp } from '../apps/coatcheck-express.ts'
import { benchSessions } from '../apps/coatcheck-sessions.ts'
import { expressSessionApp } from '../apps/express-session-app.ts'
import { signInAll } from '../apps/sign-in.ts'
import { type SignedIn, userIds } from '../subject.ts'

/** What a thousand unchanged signed-in requests ask of the store, and what they send to the browser. */
export interface StoreCalls {
  readonly title: string
  /** Calls by method, of those that were called. */
  readonly calls: Readonly<Record<string, number>>
  readonly setCookies: number
}

const REQUESTS = 1000
const PEOPLE = 100
/** Everything of express-session's contract that reaches the data; the rest makes objects. */
const EXPRESS_SESSION_CALLS = ['get', 'set', 'touch', 'destroy', 'all', 'length', 'clear']

/** Counts over real HTTP, for ours and for express-session with and without `rolling`. */
export async function countStoreCalls(): Promise<readonly StoreCalls[]> {
  const ours = new CountedStore(memoryStore())
  const plain = new CountedStore(new session.MemoryStore(), EXPRESS_SESSION_CALLS)
  const rolling = new CountedStore(new session.MemoryStore(), EXPRESS_SESSION_CALLS)
  return [
    await count('Coatcheck', ours, coatcheckApp(benchSessions(ours.store))),
    await count('express-session', plain, expressSessionApp(plain.store)),
    await count('express-session, rolling: true', rolling, expressSessionApp(rolling.store, true)),
  ]
}

async function count(title: string, counted: CountedStore<object>, listener: RequestListener): Promise<StoreCalls> {
  const signedIn = await signInAll(listener, userIds(PEOPLE))
  counted.calls.clear()
  const setCookies = await request(listener, signedIn)
  return { title, calls: Object.fromEntries(counted.calls), setCookies }
}

/** Sends the requests, one after the other; how many Set-Cookie lines came back. */
async function request(listener: RequestListener, signedIn: readonly SignedIn[]): Promise<number> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  let setCookies = 0
  for (let at = 0; at < REQUESTS; at++) setCookies += await requestOne(port, signedIn[at % PEOPLE]!)
  server.closeAllConnections()
  server.close()
  return setCookies
}

async function requestOne(port: number, { cookie, userId }: SignedIn): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/me`, { headers: { cookie } })
  const body = await response.text()
  if (body !== JSON.stringify({ userId })) throw new Error(`Expected ${userId} to be signed in, got: ${body}`)
  return response.headers.getSetCookie().length
}

/** A store whose calls are counted on their way to it. */
class CountedStore<Store extends object> {
  readonly calls = new Map<string, number>()
  readonly store: Store

  /** @param counted the methods that count; all of them unless given */
  constructor(store: Store, counted?: readonly string[]) {
    this.store = new Proxy(store, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key)
        if (typeof value !== 'function') return value
        if (counted !== undefined && !counted.includes(String(key))) return value.bind(target)
        return (...args: unknown[]) => {
          this.calls.set(String(key), (this.calls.get(String(key)) ?? 0) + 1)
          return Reflect.apply(value, target, args)
        }
      },
    })
  }
}
