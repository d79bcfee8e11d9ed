/** A client that keeps cookies, as a browser or an app would. */
export class Client {
  readonly #base: string
  readonly #headers: Readonly<Record<string, string>>
  readonly #cookies = new Map<string, string>()

  constructor(base: string, headers: Readonly<Record<string, string>> = {}) {
    this.#base = base
    this.#headers = headers
  }

  /** The Cookie header that it would send. */
  get cookie(): string {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    return this.#send('GET', path, headers)
  }

  delete(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    return this.#send('DELETE', path, { 'x-csrf-token': this.#cookies.get('csrf-token') ?? '', ...headers })
  }

  /** With a JSON body, as a program sends it. */
  post(path: string, body: unknown = {}): Promise<Response> {
    return this.#send('POST', path, { 'content-type': 'application/json' }, JSON.stringify(body))
  }

  /** As a page's form does it in a browser. */
  submit(path: string, fields: Readonly<Record<string, string>> = {}): Promise<Response> {
    const headers = { accept: 'text/html', 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin' }
    return this.#send('POST', path, headers, new URLSearchParams(fields).toString())
  }

  raw(path: string, headers: Readonly<Record<string, string>>, body: string): Promise<Response> {
    return this.#send('POST', path, headers, body)
  }

  async #send(method: string, path: string, headers: Readonly<Record<string, string>>, body?: string): Promise<Response> {
    const cookie = this.#cookies.size > 0 ? { cookie: this.cookie } : {}
    const init = {
      method,
      headers: { ...this.#headers, ...cookie, ...headers },
      redirect: 'manual',
      ...(body === undefined ? {} : { body }),
    } as const
    const response = await fetch(this.#base + path, init)
    for (const line of response.headers.getSetCookie()) this.#keep(line)
    return response
  }

  #keep(line: string): void {
    const [pair = '', ...attributes] = line.split('; ')
    const name = pair.slice(0, pair.indexOf('='))
    if (attributes.includes('Max-Age=0')) this.#cookies.delete(name)
    else this.#cookies.set(name, pair.slice(name.length + 1))
  }
}
