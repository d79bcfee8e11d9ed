import type { SessionStore } from 'coatcheck'
import { isCoatcheckError } from 'coatcheck'
import { sqliteStore } from 'coatcheck/sqlite'
import { type Settings, SettingsError } from './settings.ts'

type Urls = Pick<Settings, 'redisUrl' | 'databaseUrl' | 'mongodbUrl' | 'memcachedUrl'>

/** Where sessions are kept. */
export interface OpenSessionStore {
  readonly store: SessionStore
  /** For the person who starts the app: a kind and an address, never a password. */
  readonly place: string
  /** Closes what was opened here. */
  close(): Promise<void>
}

/** How one kind of server is reached. The driver is loaded only where it is wanted. */
type Open = (url: string) => Promise<Omit<OpenSessionStore, 'place'>>

interface Kind {
  readonly name: string
  readonly variable: string
  readonly example: string
  readonly schemes: readonly string[]
  urlIn(urls: Urls): string | undefined
  readonly open: Open
}

const kinds: readonly Kind[] = [
  {
    name: 'Redis',
    variable: 'REDIS_URL',
    example: 'redis://localhost:6379',
    schemes: ['redis', 'rediss'],
    urlIn: urls => urls.redisUrl,
    open: openRedis,
  },
  {
    name: 'Postgres',
    variable: 'DATABASE_URL',
    example: 'postgres://me:secret@localhost:5432/app',
    schemes: ['postgres', 'postgresql'],
    urlIn: urls => urls.databaseUrl,
    open: openPostgres,
  },
  {
    name: 'MongoDB',
    variable: 'MONGODB_URL',
    example: 'mongodb://localhost:27017/app',
    schemes: ['mongodb', 'mongodb+srv'],
    urlIn: urls => urls.mongodbUrl,
    open: openMongo,
  },
  {
    name: 'Memcached',
    variable: 'MEMCACHED_URL',
    example: 'memcached://localhost:11211',
    schemes: ['memcached'],
    urlIn: urls => urls.memcachedUrl,
    open: openMemcached,
  },
]

/**
 * Sessions are kept in the server that the environment names, else in a file. It is asked once before anybody signs in.
 *
 * @throws SettingsError for two servers at once, and for one that cannot be used
 */
export async function openSessionStore(urls: Urls, file: string): Promise<OpenSessionStore> {
  const named = kinds.flatMap(kind => {
    const url = kind.urlIn(urls)
    return url === undefined ? [] : [{ ...kind, url }]
  })
  if (named.length > 1) {
    const variables = named.map(({ variable }) => variable).join(' and ')
    throw new SettingsError(`${variables} are set, and sessions can be kept in one place only. Unset all but one.`)
  }
  const [kind] = named
  return kind === undefined ? { store: sqliteStore(file), place: file, close: async () => {} } : reached(kind)
}

async function reached({
  name,
  variable,
  example,
  schemes,
  url,
  open,
}: Kind & { readonly url: string }): Promise<OpenSessionStore> {
  // MongoDB's may name several hosts, which is no URL to `URL`.
  const [, scheme = '', hosts = '', path = ''] = /^([\w+]+):\/\/(?:.*@)?([^/?#@]+)(\/[^?#]*)?/.exec(url) ?? []
  // What was given is not repeated: it may hold a password.
  if (!schemes.includes(scheme)) throw new SettingsError(`${variable} must be an URL such as ${example}; it is none.`)
  const place = `${name} at ${hosts}${path === '/' ? '' : path}`
  try {
    const opened = await open(url)
    await opened.store.marks(null)
    return { ...opened, place }
  } catch (error) {
    throw new SettingsError(`Sessions cannot be kept in ${place} (${variable}). ${reasonOf(error)}`)
  }
}

function reasonOf(error: unknown): string {
  if (!isCoatcheckError(error)) return error instanceof Error ? error.message : String(error)
  const cause = error.cause instanceof Error && error.cause.message ? ` (${error.cause.message})` : ''
  return error.message + cause
}

async function openRedis(url: string): ReturnType<Open> {
  const [{ createClient }, { redisStore }] = await Promise.all([import('redis'), import('coatcheck/redis')])
  let reached = false
  // A wrong address is said at the start; a server that goes away later is waited for.
  const reconnectStrategy = (tries: number, cause: Error) => (reached ? Math.min(tries * 50, 2000) : cause)
  const client = createClient({ url, socket: { reconnectStrategy, connectTimeout: 5000 } })
  client.on('error', error => reached && console.error('Redis:', error.message))
  await client.connect()
  reached = true
  return { store: redisStore(client), close: () => client.close() }
}

async function openPostgres(connectionString: string): ReturnType<Open> {
  const [{ default: pg }, { migrate, postgresStore }] = await Promise.all([import('pg'), import('coatcheck/postgres')])
  const pool = new pg.Pool({ connectionString, connectionTimeoutMillis: 5000 })
  pool.on('error', error => console.error('Postgres:', error.message))
  await migrate(pool)
  return { store: postgresStore(pool), close: () => pool.end() }
}

async function openMongo(url: string): ReturnType<Open> {
  const [{ MongoClient }, { ensureIndexes, mongoStore }] = await Promise.all([import('mongodb'), import('coatcheck/mongo')])
  const client = new MongoClient(url, { serverSelectionTimeoutMS: 5000 })
  const close = () => client.close()
  try {
    await client.connect()
    await ensureIndexes(client.db())
  } catch (error) {
    await close()
    throw error
  }
  return { store: mongoStore(client.db()), close }
}

async function openMemcached(url: string): ReturnType<Open> {
  const [{ MemcacheClient }, { memcachedStore }] = await Promise.all([import('memcache-client'), import('coatcheck/memcached')])
  const { hostname, port } = new URL(url)
  const client = new MemcacheClient({ server: `${hostname}:${port || 11_211}` })
  return { store: memcachedStore(client), close: async () => client.shutdown() }
}
