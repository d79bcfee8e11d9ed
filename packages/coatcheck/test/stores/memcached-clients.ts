import { randomUUID } from 'node:crypto'
import { MemcacheClient } from 'memcache-client'
import { type MemcacheClient as Client, type MemcachedStoreOptions, memcachedStore } from '../../src/stores/memcached.ts'
import type { StoreSpace } from '../../src/testing/index.ts'

/** A client of the server at this URL (`memcached://host:port`), or of a proxy before it. */
export function connect(url: string): MemcacheClient {
  return new MemcacheClient({ server: new URL(url).host })
}

/** A prefix of its own, with two stores over connections of their own. */
export function openSpace(
  url: string,
  options: MemcachedStoreOptions = {},
): StoreSpace & { readonly prefix: string; readonly client: MemcacheClient } {
  const prefix = `test:${randomUUID()}:`
  const [one, two] = [connect(url), connect(url)]
  return {
    prefix,
    client: one,
    store: memcachedStore(one, { ...options, prefix }),
    second: () => memcachedStore(two, { ...options, prefix }),
    plant: async id => void (await one.set(`${prefix}s:${id}`, 'of another application', { lifetime: 0 })),
    close() {
      one.shutdown()
      two.shutdown()
    },
  }
}

/** The same client, with something that happens before each compare-and-set leaves. */
export function tapped(client: Client, before: (key: string) => Promise<void>): Client {
  return {
    options: client.options,
    gets: keys => client.gets(keys),
    add: (key, value, options) => client.add(key, value, options),
    set: (key, value, options) => client.set(key, value, options),
    delete: key => client.delete(key),
    xsend: data => client.xsend(data),
    async cas(key, value, options) {
      await before(key)
      return client.cas(key, value, options)
    },
  }
}

/** The same client, which writes the name of each command down. */
export function recorded(client: Client, sent: string[]): Client {
  const named = <Args extends unknown[], Answer>(name: string, call: (...args: Args) => Answer) => {
    return (...args: Args) => {
      sent.push(name)
      return call(...args)
    }
  }
  return {
    options: client.options,
    gets: named('gets', keys => client.gets(keys)),
    add: named('add', (key, value, options) => client.add(key, value, options)),
    set: named('set', (key, value, options) => client.set(key, value, options)),
    cas: named('cas', (key, value, options) => client.cas(key, value, options)),
    delete: named('delete', key => client.delete(key)),
    xsend: data => client.xsend(data),
  }
}
