import { createServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import express from 'express'
import { Hono } from 'hono'
import { Pool } from 'pg'
import * as forExpress from '../../src/adapters/express.ts'
import * as forHono from '../../src/adapters/hono.ts'
import { createSessions, type Session } from '../../src/adapters/node.ts'
import type { SessionStore } from '../../src/core/store.ts'
import { migrate, postgresStore } from '../../src/stores/postgres.ts'
import { redisStore } from '../../src/stores/redis.ts'
import { sqliteStore } from '../../src/stores/sqlite.ts'
import { listening } from '../http/wire.ts'
import { clients } from '../stores/redis-clients.ts'

/**
 * An application in a process of its own, on a sqlite file or a server that others use too: says its port over IPC, and
 * ends with its parent.
 */
const [place = '', framework = ''] = process.argv.slice(2)
const secret = 'thirty-two bytes of text at least, for tests'
const sessions = createSessions({ store: await storeAt(place), secret, production: false })

/** @param place an URL, or the path of a sqlite file */
async function storeAt(place: string): Promise<SessionStore> {
  if (place.startsWith('redis:')) return redisStore((await clients.redis(place)).client)
  if (!place.startsWith('postgres:')) return sqliteStore(place)
  const pool = new Pool({ connectionString: place }).on('error', () => {})
  await migrate(pool)
  return postgresStore(pool)
}

/** What `GET /<act>/<argument>` does; a session's own acts come from the browser that has it. */
const acts: Readonly<Record<string, (session: Session, argument: string) => unknown>> = {
  me: session => session.userId ?? 'nobody',
  data: session => JSON.stringify(session),
  id: session => session.id,
  set: (session, key) => void Object.assign(session, { [key]: 1 }),
  login: (session, userId) => session.login(userId),
  logout: session => session.logout(),
  rotate: session => session.rotate(),
  'revoke-others': session => sessions.revokeOthers(session),
  revoke: (_session, id) => sessions.revoke(id),
  'revoke-user': (_session, userId) => sessions.revokeUser(userId),
  'revoke-everyone': () => sessions.revokeEveryone(),
}

async function answerTo(url: string, session: () => Session): Promise<string> {
  const [, act = '', argument = ''] = new URL(url, 'http://localhost').pathname.split('/')
  // Who has nothing to do with a session does not touch it.
  const own = act.startsWith('revoke') && act !== 'revoke-others' ? ({} as Session) : session()
  return String((await acts[act]?.(own, argument)) ?? 'done')
}

const listeners = {
  express: () =>
    express()
      .use(forExpress.session(sessions))
      .use(async (req, res) => {
        const text = await answerTo(req.url, () => req.session)
        res.end(text)
      }),
  hono: () => {
    const app = new Hono()
      .use(forHono.session(sessions))
      .get('*', async c => c.text(await answerTo(c.req.url, () => c.var.session)))
    return getRequestListener(app.fetch)
  },
}

// A connection that is closed while a request is on its way would look like no answer.
const port = await listening(createServer({ keepAliveTimeout: 60_000 }, listeners[framework as keyof typeof listeners]()))
process.on('disconnect', () => process.exit())
process.send?.({ port })
