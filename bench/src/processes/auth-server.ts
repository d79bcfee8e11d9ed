import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { authApp } from '../apps/auth-app.ts'

// An app with passwords, listening; its hashes are computed on threads, so it is bound to no core. Ends when the parent lets go.
const server = (await authApp()).listen(0, '127.0.0.1')
server.keepAliveTimeout = 60_000
await once(server, 'listening')

process.on('disconnect', () => process.exit())
process.on('message', () => process.send!({ rss: process.memoryUsage.rss() }))
process.send!({ port: (server.address() as AddressInfo).port })
