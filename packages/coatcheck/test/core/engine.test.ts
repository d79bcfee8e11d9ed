import { expect, test } from 'vitest'
import type { SessionRecord } from '../../src/core/record.ts'
import { createSessions, type Sessions } from '../../src/core/sessions.ts'
import type { SessionStore } from '../../src/core/store.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { gatedStore } from '../../src/testing/gate.ts'
import { Browser, facts, SECRET } from './world.ts'

/** A memory store that gives the same object for a record at every read, and changes it in place. */
function inPlace(isSync: boolean): SessionStore {
  const store = memoryStore()
  const kept = new Map<string, SessionRecord>()
  const read = (id: string) => {
    const record = store.read(id) as SessionRecord | undefined
    if (record === undefined) return undefined
    const object = kept.get(id) ?? ({} as SessionRecord)
    kept.set(id, object)
    return Object.assign(object, record)
  }
  return { ...store, read: isSync ? read : async id => read(id) }
}
const ways = [
  ['at once', true],
  ['later', false],
] as const

// Guards: `record.tokenHash === token.proven` in engine.ts #isCurrent, `Object.isFrozen` in last-look.ts.
test.each(ways)(
  'law 1: a token once right is refused once it is replaced, also where records change in place (%s)',
  async (_, sync) => {
    const sessions = createSessions({ store: inPlace(sync), secret: SECRET, production: false })
    const browser = new Browser()
    await browser.login(sessions, 'anna')
    const old = browser.fork()
    for (let read = 0; read < 3; read++) expect(await old.whoAmI(sessions)).toBe('anna')

    await browser.request(sessions, ({ session }) => session.rotate())

    expect(await old.whoAmI(sessions)).toBeUndefined()
    expect(await browser.whoAmI(sessions)).toBe('anna')
  },
)

// Guard: `Object.isFrozen` in last-look.ts.
test.each(ways)('law 3: nor is a change of another process lost there (%s)', async (_, sync) => {
  const store = inPlace(sync)
  const [here, there] = [0, 1].map(() => createSessions({ store, secret: SECRET, production: false })) as [Sessions, Sessions]
  const browser = new Browser()
  await browser.request(here, ({ session }) => Object.assign(session, { userId: 'anna', role: 'old' }))
  for (let read = 0; read < 4; read++) expect(await browser.whoAmI(here)).toBe('anna')

  await browser.request(there, ({ session }) => Object.assign(session, { size: 'new' }))
  await browser.request(here, ({ session }) => Object.assign(session, { colour: 'blue' }))

  expect({ ...(await browser.send(here)).session }).toMatchObject({ size: 'new', colour: 'blue' })
})

// Guard: `known?.value === value` in token.ts verify.
test('a value that shares its mac with a token verified a moment ago is still nobody', async () => {
  const sessions = createSessions({ store: memoryStore(), secret: SECRET, production: false })
  const [mine, other] = [await sessions.issue('anna'), await sessions.issue('ben')]
  const open = async (header: string) => (await sessions.open(header, facts)).session.userId
  expect([await open(mine), await open(other)]).toEqual(['anna', 'ben'])

  const [name, id, secret] = mine.split(/[=.]/)
  const macOfOther = other.split('.')[2]

  expect(await open(`${name}=${id}.${secret}.${macOfOther}`)).toBeUndefined()
  expect([await open(mine), await open(other)]).toEqual(['anna', 'ben'])
})

// Guard: `mayBeSession` in sessions.ts.
test.each(['\0', '', 'never-there', '..', 'x'.repeat(1_000_000), 'ÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄ', `${'a'.repeat(21)}\n`])(
  'law 7: what cannot be an id of ours is not there, and asks no store (%#)',
  async id => {
    const gate = gatedStore(memoryStore())
    const { store, calls } = gate
    const sessions = createSessions({ store, secret: SECRET, production: false })
    const { session } = await sessions.open(await sessions.issue('anna'), facts)
    gate.reset()
    expect(await sessions.get(id)).toBeUndefined()
    expect(await sessions.revoke(id)).toBe(false)
    expect(await sessions.revokeDevice(session, id)).toBe(false)
    if (!/^[!-~]{1,200}$/.test(id)) expect(await sessions.scan({ after: id })).toEqual({ sessions: [], next: null })
    expect(Object.entries(calls).filter(([, count]) => count > 0)).toEqual([])
    const ended = await sessions.revokeUser('anna', { except: id })
    await sessions.revokeEveryone({ except: id })
    expect([ended, calls.revokeUser, calls.revokeEveryone]).toEqual([1, 1, 1])
  },
)
