/** The small part of `@fastify/session` that the bench calls: its own types claim `request.session`, as express-session's do. */
declare module '@fastify/session' {
  import type { FastifyPluginCallback } from 'fastify'

  interface Options {
    secret: string
    saveUninitialized: boolean
    rolling: boolean
    cookie: { secure: boolean; maxAge: number }
  }

  const plugin: FastifyPluginCallback<Options>
  export default plugin
}
