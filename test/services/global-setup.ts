import { openDesk } from './desk.ts'
import { say } from './machine.ts'
import { DESK } from './service.ts'

/**
 * Vitest runs this in its main process around a whole run: what was started is ended also when tests fail.
 *
 * Under CI every service that `REQUIRE_SERVICES` names (`redis,postgres`) must have run, else the run fails.
 */
export default async function setup(): Promise<() => Promise<void>> {
  const desk = await openDesk()
  process.env[DESK] = desk.url
  return async () => {
    const lines = await desk.summary()
    const lacking = process.env.CI ? await desk.lacking(required()) : []
    await desk.close()
    for (const text of lines) say(text)
    if (lacking.length > 0) throw new Error(`REQUIRE_SERVICES names ${lacking.join(', ')}, but no test ran with it.`)
  }
}

function required(): string[] {
  return (process.env.REQUIRE_SERVICES ?? '').split(',').filter(Boolean)
}
