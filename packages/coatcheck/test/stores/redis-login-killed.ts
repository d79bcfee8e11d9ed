import { createClient } from 'redis'
import { createSessions } from '../../src/core/sessions.ts'
import { redisStore } from '../../src/stores/redis.ts'
import { Browser, SECRET } from '../core/world.ts'

/** A process that is killed in the midst of a login: the record is written, and not filed under its person. */
const [url = '', prefix = '', cookie = ''] = process.argv.slice(2)
const redis = await createClient({ url }).connect()
const client = {
  sendCommand(...[args, options]: Parameters<typeof redis.sendCommand>): Promise<unknown> {
    if (args.includes('EVALSHA') && args.some(arg => arg.toString().startsWith(`${prefix}u:`))) {
      process.kill(process.pid, 'SIGKILL')
    }
    return redis.sendCommand(args, options)
  },
}
const browser = new Browser()
if (cookie) browser.receive([`${cookie}; Path=/`])
await browser.login(createSessions({ store: redisStore(client, { prefix }), secret: SECRET, production: false }), 'ann')
