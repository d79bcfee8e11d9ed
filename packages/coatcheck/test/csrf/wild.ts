import { createServer, request as forward, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What a browser really sent to the app, and what it got. */
export interface Seen {
  readonly method: string
  readonly site: string | undefined
  readonly origin: string | undefined
  readonly signedIn: boolean
  readonly status: number
}

/** A browser that got leave would send its request at once. */
const AFTER_PREFLIGHT_MS = 400

/** Writes down each request for a path of which the query is `n=…`, by that number. */
export class Watch {
  readonly #seen = new Map<string, Seen[]>()

  constructor(server: Server) {
    server.on('request', ({ method = '', url = '', headers }, response) => {
      const [, number] = /[?&]n=(\w+)/.exec(url) ?? []
      if (number === undefined) return
      const { origin, cookie = '', 'sec-fetch-site': site } = headers
      response.once('finish', () => {
        const seen = {
          method,
          site: site as string | undefined,
          origin,
          signedIn: /\bsid=/.test(cookie),
          status: response.statusCode,
        }
        this.#seen.set(number, [...(this.#seen.get(number) ?? []), seen])
      })
    })
  }

  /** The first request of this number that is no preflight; undefined if none came in five seconds, or after a preflight. */
  async first(number: string): Promise<Seen | undefined> {
    let end = Date.now() + 5000
    while (Date.now() < end) {
      const all = this.#seen.get(number) ?? []
      const seen = all.find(({ method }) => method !== 'OPTIONS')
      if (seen !== undefined) return seen
      if (all.length > 0) end = Math.min(end, Date.now() + AFTER_PREFLIGHT_MS)
      await new Promise(resolve => setTimeout(resolve, 5))
    }
    return undefined
  }

  /** The methods that came under this number. */
  methods(number: string): readonly string[] {
    return (this.#seen.get(number) ?? []).map(({ method }) => method)
  }
}

/** Starts a server; gives its port. */
export async function portOf(server: Server): Promise<number> {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

/** Anybody's server: blank pages, and `/bounce?to=…`, which sends a post on as it came (307). */
export function anybody(): Server {
  return createServer((request, response) => {
    const to = new URL(request.url ?? '', 'http://x').searchParams.get('to')
    if (to !== null) response.writeHead(307, { Location: to }).end()
    else response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>page</title>')
  })
}

/** What stands before an app so that its browsers look like old ones: it takes these headers away. */
export function stripping(port: number, names: readonly string[]): Server {
  return createServer((request, response) => {
    const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !names.includes(name)))
    const onward = forward({ host: '127.0.0.1', port, method: request.method, path: request.url, headers, agent: false })
    onward.once('error', () => response.destroy())
    onward.once('response', answer => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    request.pipe(onward)
  })
}
