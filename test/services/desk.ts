import { once } from 'node:events'
import { createServer } from 'node:http'
import { type ServiceName, type Started, services, startService } from './service.ts'

/** Hands out services to the processes of one test run: each is started once, when it is first asked for. */
export interface Desk {
  readonly url: string
  /** One line for each service that was asked for. */
  summary(): Promise<readonly string[]>
  /** Those of these names that no test could use. */
  lacking(required: readonly string[]): Promise<readonly string[]>
  /** Ends all that was started. */
  close(): Promise<void>
}

/** Opens the desk on a port of 127.0.0.1. */
export async function openDesk(): Promise<Desk> {
  const asked = new Map<ServiceName, Promise<Started>>()
  const take = (name: ServiceName): Promise<Started> => {
    const started = asked.get(name) ?? startService(name, take)
    asked.set(name, started)
    return started
  }
  const server = createServer(async (request, response) => {
    const name = request.url?.slice(1) ?? ''
    response.end(JSON.stringify(isService(name) ? await take(name) : { missing: `there is no service called ${name}` }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : ''}`,
    summary: () => Promise.all([...asked].map(async ([name, started]) => line(name, await started))),
    lacking: async required => {
      const ran = await Promise.all([...asked].map(async ([name, started]) => ('missing' in (await started) ? '' : name)))
      return required.filter(name => !ran.some(service => service === name))
    },
    async close() {
      server.close()
      const all = await Promise.all(asked.values())
      await Promise.all(all.map(started => ('missing' in started ? undefined : started.stop())))
    },
  }
}

function isService(name: string): name is ServiceName {
  return Object.hasOwn(services, name)
}

function line(name: string, started: Started): string {
  return 'missing' in started ? `${name}: NOT TESTED: ${started.missing}` : `${name}: tested (${started.how})`
}
