import { MongoClient } from 'mongodb'
import { createSessions } from '../../src/core/sessions.ts'
import { mongoStore } from '../../src/stores/mongo.ts'
import { Browser, SECRET } from '../core/world.ts'
import { intercepted } from './mongo-servers.ts'

/**
 * A process that is killed in the midst of a login: the record is written, and the marks are not looked at ('look'), or
 * the record is not filed under its person ('file').
 */
const [url = '', collection = '', step = '', cookie = ''] = process.argv.slice(2)
const db = (await new MongoClient(url).connect()).db('coatcheck')
let isWritten = false
const dying = intercepted(db, async (method, args) => {
  if (isWritten && (step === 'look' ? method === 'find' : args.includes('$unset'))) process.kill(process.pid, 'SIGKILL')
  isWritten ||= args.includes('"pending":true')
})
const browser = new Browser()
if (cookie) browser.receive([`${cookie}; Path=/`])
await browser.login(createSessions({ store: mongoStore(dying, { collection }), secret: SECRET, production: false }), 'ann')
// Not killed: the test says so.
process.exit(1)
