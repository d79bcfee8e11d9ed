import { DatabaseSync } from 'node:sqlite'

/** Another program that holds the whole file locked for some milliseconds: node sqlite-locker.ts path ms. */
const [, , path = '', ms = '0'] = process.argv
const db = new DatabaseSync(path)
db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
process.send?.('locked')
setTimeout(() => {
  db.exec('COMMIT')
  db.close()
  process.disconnect()
}, Number(ms))
