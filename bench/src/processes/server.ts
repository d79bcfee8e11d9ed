import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { startSubject } from '../subjects.ts'
import { runLoop } from './loop.ts'
import type { ServerMark, ServerQuestion, ServerReady } from './messages.ts'

// One subject, listening; bound to its core by whoever starts it. Ends when the parent lets go.
const subject = await startSubject(process.argv[2]!)
const server = createServer(subject.listener).listen(0, '127.0.0.1')
await once(server, 'listening')

process.on('message', async (question: ServerQuestion) => {
  process.send!(question.do === 'mark' ? mark() : await runLoop(subject, question.ms))
})
process.on('disconnect', async () => {
  server.closeAllConnections()
  server.close()
  await subject.close?.()
  process.exit()
})
const ready: ServerReady = { port: (server.address() as AddressInfo).port, signedIn: subject.signedIn }
process.send!(ready)

function mark(): ServerMark {
  const { user, system } = process.cpuUsage()
  return { cpuUs: user + system, atMs: performance.now() }
}
