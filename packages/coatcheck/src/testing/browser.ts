import type { Reply, Served } from './adapter-laws.ts'

/** A browser as far as sessions go: a jar of cookies, sent with each request, and what each answer puts into it. */
export class Browser {
  readonly ask: Served['ask']
  readonly #jar: Map<string, string>

  constructor(ask: Served['ask'], like?: Browser) {
    this.ask = ask
    this.#jar = new Map(Object.entries(like?.cookies ?? {}))
  }

  /** Names and values, as they are sent. */
  get cookies(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.#jar)
  }

  get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Reply> {
    return this.#send('GET', path, headers)
  }

  head(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Reply> {
    return this.#send('HEAD', path, headers)
  }

  post(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Reply> {
    return this.#send('POST', path, headers)
  }

  async #send(method: string, path: string, headers: Readonly<Record<string, string>>): Promise<Reply> {
    const reply = await this.ask(path, { method, headers: { ...this.#cookieHeader(), ...headers } })
    for (const line of reply.headers.getSetCookie()) this.#keep(line)
    return reply
  }

  #cookieHeader(): Record<string, string> {
    const cookie = [...this.#jar].map(([name, value]) => `${name}=${value}`).join('; ')
    return cookie === '' ? {} : { cookie }
  }

  #keep(line: string): void {
    const [pair = '', ...attributes] = line.split(';')
    const name = pair.slice(0, pair.indexOf('='))
    if (attributes.some(attribute => attribute.trim().toLowerCase() === 'max-age=0')) this.#jar.delete(name)
    else this.#jar.set(name, pair.slice(name.length + 1))
  }
}
