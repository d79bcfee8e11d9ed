import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PEOPLE } from '../subject.ts'
import { startSubject } from '../subjects.ts'
import { runLoop } from './loop.ts'
import type { ServerMark, ServerQuestion, ServerReady } from './messages.ts'

// One subject, listening; bound to its core by whoever starts it. Ends when the parent lets go.
const [name, people = PEOPLE] = process.argv.slice(2)
const subject = await startSubject(name!, Number(people))
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
