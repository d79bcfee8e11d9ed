import { type Document, MongoClient } from 'mongodb'
import { createSessions } from '../../src/core/sessions.ts'
import { mongoStore } from '../../src/stores/mongo.ts'
import { Browser, SECRET } from '../core/world.ts'

/**
 * A process that is killed in the midst of a login: the record is written, and the marks are not looked at ('look'), or
 * the record is not filed under its person ('file').
 */
const [url = '', collection = '', step = '', cookie = ''] = process.argv.slice(2)
const db = (await new MongoClient(url).connect()).db('coatcheck')
const die = () => process.kill(process.pid, 'SIGKILL')
let isWritten = false
const dying = {
  command: db.command.bind(db),
  collection(name: string, options: object) {
    const real = db.collection<Document>(name, options)
    return new Proxy(real, {
      get(target, method) {
        const value = Reflect.get(target, method)
        if (typeof value !== 'function') return value
        return (...args: unknown[]) => {
          const text = JSON.stringify(args)
          if (isWritten && (step === 'look' ? method === 'find' : text.includes('$unset'))) die()
          isWritten ||= text.includes('"pending":true')
          return value.apply(target, args)
        }
      },
    })
  },
}
const browser = new Browser()
if (cookie) browser.receive([`${cookie}; Path=/`])
await browser.login(createSessions({ store: mongoStore(dying, { collection }), secret: SECRET, production: false }), 'ann')
// Not killed: the test says so.
process.exit(1)
