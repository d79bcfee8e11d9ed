import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { Child } from '../src/processes/child.ts'
import type { SliceResult } from '../src/processes/messages.ts'

const signedIn = [
  { userId: 'a', cookie: 'who=a' },
  { userId: 'b', cookie: 'who=b' },
]

test('the load generator counts what the server counted', async () => {
  let served = 0
  const seen = await loadOn((request, response) => {
    served++
    response.end(JSON.stringify({ userId: request.headers.cookie?.slice('who='.length) }))
  })
  expect(seen.wrong).toBeUndefined()
  // One more to learn the shape of the answers.
  expect(seen.allRequests + 1).toBe(served)
  expect(seen.requests).toBeGreaterThan(0)
})

test('an answer in two pieces is read as one', async () => {
  const seen = await loadOn((request, response) => {
    const body = JSON.stringify({ userId: request.headers.cookie?.slice('who='.length) })
    response.writeHead(200, { 'content-length': body.length })
    response.write(body.slice(0, -1))
    setImmediate(() => response.end(body.slice(-1)))
  })
  expect(seen.wrong).toBeUndefined()
})

test("another person's answer is noticed", async () => {
  const seen = await loadOn((_request, response) => response.end(JSON.stringify({ userId: 'a' })))
  expect(seen.wrong).toContain('expected {"userId":"b"}, got: HTTP/1.1 200 OK')
})

test('a status other than 200 is noticed', async () => {
  const seen = await loadOn((request, response) => {
    response.statusCode = 401
    response.end(JSON.stringify({ userId: request.headers.cookie?.slice('who='.length) }))
  })
  expect(seen.wrong).toContain('HTTP/1.1 401')
})

async function loadOn(listener: RequestListener): Promise<SliceResult> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const { child } = await Child.start('load.ts', [], undefined)
  const { port } = server.address() as AddressInfo
  const seen = await child.ask<SliceResult>({ port, signedIn, connections: 4, warmMs: 50, ms: 200 })
  await child.stop()
  return seen
}
