import { createServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { requireAuth, requireFresh, requireRole, type SessionVariables, session } from '../../src/adapters/hono.ts'
import { type AdapterHarness, askOver, type Served, type Site } from '../../src/testing/index.ts'
import { closed, listening } from '../http/wire.ts'

/** An app behind the session middleware. */
export type App = Hono<{ Variables: SessionVariables }>

/**
 * The laws' site on Hono.
 *
 * @param overrideGlobalObjects false: with node's own `Response` instead of the light one of `@hono/node-server`
 */
export function serveWith(overrideGlobalObjects: boolean): AdapterHarness['serve'] {
  return ({ sessions, answer, role }: Site) => {
    const app: App = new Hono<{ Variables: SessionVariables }>()
    app.use(session(sessions))
    app.use('/members', requireAuth())
    app.use('/pages', requireAuth({ loginPath: '/login' }))
    app.use('/admins', requireRole('admin', 'owner'))
    app.use('/staff', requireRole('admin', { role }))
    app.use('/fresh', requireFresh('10m'))
    app.all('*', async c => {
      const {
        status = 200,
        headers = {},
        body,
      } = await answer({
        method: c.req.method,
        path: c.req.path,
        get session() {
          return c.var.session
        },
      })
      const list = Object.entries(headers).flatMap(([name, value]) => [value].flat().map(one => [name, one] as [string, string]))
      return new Response(body ?? null, { status, headers: list })
    })
    return serveApp(app, overrideGlobalObjects)
  }
}

/** Serves an app on a free port. */
export async function serveApp(app: App, overrideGlobalObjects = true): Promise<Served & { readonly port: number }> {
  const server = createServer(getRequestListener(app.fetch, { overrideGlobalObjects }))
  const port = await listening(server)
  return {
    port,
    ask: askOver(`http://127.0.0.1:${port}`),
    close() {
      server.closeAllConnections()
      return closed(server)
    },
  }
}
