import { type ChildProcess, execFile, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isCoatcheckError } from '../../src/core/errors.ts'
import type { SessionRecord } from '../../src/core/record.ts'
import { createSessions } from '../../src/core/sessions.ts'
import { EPOCH_KEPT_MS, type SessionStore } from '../../src/core/store.ts'
import { Connection } from '../../src/stores/sqlite/connection.ts'
import { storeError } from '../../src/stores/sqlite/errors.ts'
import { type SqliteStoreOptions, sqliteStore } from '../../src/stores/sqlite.ts'
import { storeLaws } from '../../src/testing/index.ts'
import { later, nextVersion, preparedRecord, sampleRecord, storedRecord } from '../../src/testing/records.ts'
import { Browser, codeOf, SECRET } from '../core/world.ts'
import type { PeerCall } from './sqlite-peer.ts'

function openSpace() {
  const folder = mkdtempSync(join(tmpdir(), 'coatcheck-'))
  const path = join(folder, 'sessions.db')
  const opened = [sqliteStore(path)]
  return {
    store: opened[0]!,
    second() {
      opened.push(sqliteStore(path))
      return opened[1]!
    },
    async close() {
      for (const store of opened) await store.close?.()
      rmSync(folder, { recursive: true })
    },
  }
}

describe('the sqlite store', () => {
  for (const law of storeLaws({ open: openSpace, noPlant: 'a strict table of ours holds no other rows' })) test(law.name, law.run)
})

let folder: string
let path: string
const opened: SessionStore[] = []
const children: ChildProcess[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'coatcheck-'))
  path = join(folder, 'sessions.db')
})

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close?.()
  for (const child of children.splice(0)) child.kill('SIGKILL')
  rmSync(folder, { recursive: true })
})

function open(options: SqliteStoreOptions = {}): SessionStore {
  const store = sqliteStore(path, options)
  opened.push(store)
  return store
}

/** What `sqliteStore` throws for this path, as code and message. */
function refusal(given: unknown, options: unknown = {}): string {
  try {
    const store: SessionStore = Reflect.apply(sqliteStore, undefined, [given, options])
    opened.push(store)
    return 'opened'
  } catch (error) {
    return isCoatcheckError(error) ? `${error.code}: ${error.message}` : String(error)
  }
}

/** Another program's connection to the file. */
function stranger(file = path): DatabaseSync {
  return new DatabaseSync(file)
}

test('everyone is ended by as many written pages at 10,000 sessions as at 10', async () => {
  const store = open()
  const other = stranger()
  const written: number[] = []
  for (const count of [10, 10_000]) {
    const { id } = await storedRecord(store)
    other.exec(`
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
      INSERT INTO coatcheck_sessions SELECT id || ' ' || i, version, token_hash, user_id, user_epoch, generation, created_at,
        authenticated_at, last_seen_at, expires_at, remember, ip, user_agent, data, forget_at
      FROM coatcheck_sessions, n WHERE id = '${id}'`)
    expect((await store.scan(null, 20_000)).records).toHaveLength(count + 1)
    other.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    expect(statSync(`${path}-wal`).size).toBe(0)
    await store.revokeEveryone()
    written.push(statSync(`${path}-wal`).size)
    expect((await store.scan(null, 20_000)).records).toEqual([])
  }
  other.close()
  expect(written[0]).toBeGreaterThan(0)
  expect(written[1]).toBe(written[0])
})

describe('the path of the sqlite store', () => {
  test('may be a file: URL', async () => {
    const store = sqliteStore(pathToFileURL(path))
    opened.push(store)
    const record = await storedRecord(store)
    expect(await open().read(record.id)).toEqual(record)
  })

  test.each<[string, unknown, RegExp]>([
    ['memory', ':memory:', /BAD_OPTION.*memoryStore/],
    ['nothing', '', /BAD_OPTION.*path of a file.*an empty text/],
    ['undefined', undefined, /BAD_OPTION.*undefined/],
    ['a number', 7, /BAD_OPTION.*number/],
    ['a web address', new URL('https://example.org/x'), /BAD_OPTION.*https: URL/],
    ['a NUL', 'a\0b', /BAD_OPTION.*NUL/],
  ])('is refused if it is %s', (_, given, words) => {
    expect(refusal(given)).toMatch(words)
  })

  test('is refused if it is a handle, with the reason', () => {
    const handle = stranger(':memory:')
    expect(refusal(handle)).toMatch(/BAD_OPTION.*connection of its own.*not a database handle/)
    handle.close()
  })

  test('is never read as an URI', async () => {
    const cwd = process.cwd()
    const odd = join(folder, 'file:sessions.db?mode=memory')
    const store = sqliteStore(odd)
    opened.push(store)
    await storedRecord(store)
    expect(statSync(odd).size).toBeGreaterThan(0)
    expect(process.cwd()).toBe(cwd)
  })

  test.each(['0s', 'soon', -1, Number.NaN])('busyTimeout %s is refused', busyTimeout => {
    expect(refusal(path, { busyTimeout })).toMatch(/BAD_OPTION.*busyTimeout/)
  })
})

describe('a file that cannot be used is a typed error that says what to do', () => {
  test('no folder', () => {
    expect(refusal(join(folder, 'none', 'x.db'))).toMatch(/STORE_UNAVAILABLE.*folder does not exist/)
  })

  test('a file where the folder should be', () => {
    writeFileSync(join(folder, 'file'), '')
    expect(refusal(join(folder, 'file', 'x.db'))).toMatch(/STORE_UNAVAILABLE.*no folder/)
  })

  test('a folder where the file should be', () => {
    mkdirSync(path)
    expect(refusal(path)).toMatch(/STORE_UNAVAILABLE.*cannot be opened/)
  })

  test('another kind of file, which is left as it is', () => {
    const text = 'Dear diary, this is not a database. '.repeat(100)
    writeFileSync(path, text)
    expect(refusal(path)).toMatch(/STORE_UNAVAILABLE.*not an SQLite database/)
    expect(statSync(path).size).toBe(text.length)
  })

  test("another application's table of our name, which is left as it is", () => {
    const theirs = stranger()
    theirs.exec("CREATE TABLE coatcheck_sessions (sid TEXT, sess TEXT); INSERT INTO coatcheck_sessions VALUES ('a', 'b')")
    expect(refusal(path)).toMatch(/FOREIGN_RECORD.*coatcheck_sessions that Coatcheck did not make.*file of its own/)
    expect(theirs.prepare('SELECT * FROM coatcheck_sessions').all()).toHaveLength(1)
    expect(theirs.prepare("SELECT name FROM sqlite_schema WHERE name = 'coatcheck_marks'").all()).toEqual([])
    theirs.close()
  })

  test('the format of a newer Coatcheck', async () => {
    await open().close?.()
    const newer = stranger()
    newer.exec("UPDATE coatcheck_marks SET value = '2' WHERE name = 'format'")
    newer.close()
    expect(refusal(path)).toMatch(/FOREIGN_RECORD.*format "2".*Use the version that made it/)
  })

  test.runIf(process.getuid?.() === 0)('no right to write (as another user, in a child process)', async () => {
    await storedRecord(open())
    await opened.pop()?.close?.()
    chmodSync(folder, 0o755)
    chmodSync(path, 0o444)
    const source = new URL('../../src/stores/sqlite.ts', import.meta.url).href
    // Read the code first: another user may not be allowed to where this repository lies.
    const asNobody = `import(${JSON.stringify(source)}).then(m => {
      process.setgid(65534)
      process.setuid(65534)
      return m.sqliteStore(${JSON.stringify(path)})
    }).catch(e => console.log(e.code, e.message))`
    const { stdout } = await promisify(execFile)(process.execPath, [...stripTypes(), '-e', asNobody])
    expect(stdout).toMatch(/STORE_UNAVAILABLE .*right to (read and )?write|STORE_UNAVAILABLE .*may write to/)
  })

  test('a disk that is full: the write fails, what was there stays', async () => {
    const store = open()
    const record = await storedRecord(store)
    await opened.pop()?.close?.()
    // A file-size limit of the shell is the one full disk that can be had without being root.
    const source = new URL('./sqlite-writer.ts', import.meta.url)
    const command = `trap '' XFSZ; ulimit -f 400; exec "$0" "$@"`
    const args = ['-c', command, process.execPath, ...stripTypes(), fileURLToPath(source), path]
    const child = spawn('sh', args, { stdio: ['ignore', 'ignore', 'pipe'] })
    children.push(child)
    let said = ''
    child.stderr.on('data', chunk => {
      said += chunk
    })
    await once(child, 'exit')
    expect(said).toMatch(/STORE_UNAVAILABLE/)
    expect(said).toMatch(/disk/)
    expect(await open().read(record.id)).toEqual(record)
    await storedRecord(open())
  })

  // Guard: in sqlite/errors.ts `notDone`; without it the rotations count as of unknown outcome, and sign her out.
  test('law 6: a disk that is full signs nobody in or out: what cannot be written says so, and all are who they were', async () => {
    const program = fileURLToPath(new URL('./sqlite-full.ts', import.meta.url))
    const args = ['-c', `trap '' XFSZ; ulimit -f 800; exec "$0" "$@"`, process.execPath, ...stripTypes(), program, path]
    const { stdout } = await promisify(execFile)('sh', args)
    const { codes, ended, cookies, here } = JSON.parse(stdout)
    expect(Object.keys(codes)).toHaveLength(7)
    for (const [act, code] of Object.entries(codes)) expect(code, act).toBe('STORE_UNAVAILABLE')
    expect({ ended, here }).toEqual({ ended: [], here: 'ann' })
    const sessions = createSessions({ store: open(), secret: SECRET, production: false })
    const read = async (cookie: string) => (await sessions.read(cookie))?.data
    expect(await Promise.all(cookies.map(read))).toEqual([{ userId: 'ann' }, { userId: 'bob' }])
  })

  test("SQLite's own word for a full disk", () => {
    const full = stranger()
    full.exec('PRAGMA max_page_count = 4; CREATE TABLE t (x)')
    let error: unknown
    try {
      for (let i = 0; i < 100; i++) full.prepare('INSERT INTO t VALUES (?)').run('x'.repeat(1000))
    } catch (thrown) {
      error = thrown
    }
    full.close()
    expect(storeError(error, path)).toMatchObject({ code: 'STORE_UNAVAILABLE', status: 503, cause: error, notDone: true })
    expect(storeError(error, path).message).toMatch(/the disk is full/)
  })

  test('tables that somebody drops while the store runs', async () => {
    const store = open()
    const vandal = stranger()
    vandal.exec('DROP TABLE coatcheck_sessions')
    vandal.close()
    await expect(async () => store.read('x')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await expect(store.create(sampleRecord(), later())).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  })

  test('a store that was closed, once or twice', async () => {
    const store = sqliteStore(path)
    await store.close?.()
    await store.close?.()
    await expect(async () => store.read('x')).rejects.toThrow(/was closed/)
    await expect(store.delete('x')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  })

  test('the message never shows what was written', async () => {
    const store = open()
    const vandal = stranger()
    vandal.exec("CREATE TRIGGER t BEFORE INSERT ON coatcheck_sessions BEGIN SELECT RAISE(ABORT, 'no'); END")
    vandal.close()
    const record = await preparedRecord(store, { data: '{"card":"4111"}' })
    const error: unknown = await store.create(record, later()).catch(thrown => thrown)
    expect(isCoatcheckError(error)).toBe(true)
    for (const secret of [record.tokenHash, '4111']) expect(`${error} ${String((error as Error).cause)}`).not.toContain(secret)
  })
})

describe('a file that is locked by somebody else', () => {
  test('makes a write wait, without blocking the process, and loses none', async () => {
    const store = open()
    const other = open()
    const records = await Promise.all(Array.from({ length: 50 }, () => preparedRecord(store)))
    const lock = stranger()
    lock.exec('BEGIN IMMEDIATE')
    const writes = records.map((record, i) => (i % 2 ? store : other).create(record, later()))
    let ticks = 0
    const ticking = setInterval(() => ticks++, 5)
    await delay(400)
    clearInterval(ticking)
    lock.exec('COMMIT')
    lock.close()
    expect(await Promise.all(writes)).toEqual(records.map(() => 'created'))
    expect(ticks, 'timers that fired while 50 writes waited').toBeGreaterThan(20)
    for (const { id } of records) expect(await store.read(id)).toBeDefined()
  })

  test('does not keep anybody from reading', async () => {
    const store = open()
    const record = await storedRecord(store)
    const lock = stranger()
    lock.exec('BEGIN IMMEDIATE')
    expect(store.read(record.id)).toEqual(record)
    expect(await open().read(record.id)).toEqual(record)
    lock.exec('ROLLBACK')
    lock.close()
  })

  test('fails each waiting write after busyTimeout, with a remedy, and does nothing late', async () => {
    const store = open({ busyTimeout: '200ms' })
    const records = await Promise.all(Array.from({ length: 20 }, () => preparedRecord(store)))
    const lock = stranger()
    lock.exec('BEGIN IMMEDIATE')
    const began = performance.now()
    const answers = await Promise.allSettled(records.map(record => store.create(record, later())))
    expect(performance.now() - began).toBeLessThan(2000)
    for (const answer of answers) {
      expect(answer.status).toBe('rejected')
      if (answer.status === 'rejected')
        expect(answer.reason).toMatchObject({ code: 'STORE_UNAVAILABLE', message: expect.stringMatching(/locked.*busyTimeout/) })
    }
    lock.exec('ROLLBACK')
    lock.close()
    await delay(50)
    for (const { id } of records) expect(await store.read(id)).toBeUndefined()
    expect(await store.create(records[0]!, later())).toBe('created')
  })

  // Guard: in writer.ts `mayHaveLanded`.
  test('law 6: signs nobody out: a step-up or a role change that waited in vain surely did not happen', async () => {
    const sessions = createSessions({ store: open({ busyTimeout: '100ms' }), secret: SECRET, production: false })
    const ended: unknown[] = []
    sessions.on('session.ended', event => ended.push(event))
    const browser = new Browser()
    await browser.login(sessions, 'ann')
    const changes = [
      () => browser.request(sessions, ({ session }) => Object.assign(session, { role: 'admin' })),
      () => browser.login(sessions, 'ann'),
    ]
    for (const change of changes) {
      const lock = stranger()
      lock.exec('BEGIN IMMEDIATE')
      expect(await codeOf(change)).toBe('STORE_UNAVAILABLE')
      expect(await browser.whoAmI(sessions)).toBe('ann')
      lock.exec('ROLLBACK')
      lock.close()
      expect(await codeOf(change)).toBeUndefined()
    }
    expect(await browser.whoAmI(sessions)).toBe('ann')
    expect(ended).toEqual([])
  })

  // Guard: in sqlite/connection.ts `MOST_WAITING`.
  test('law 11: lets 10,000 writes wait; the next is refused at once, and none of the others is lost', async () => {
    const store = open({ busyTimeout: '60s' })
    const lock = stranger()
    lock.exec('BEGIN IMMEDIATE')
    const waiting = Array.from({ length: 10_000 }, (_, i) => store.touch(`id ${i}`, 1, later()))
    await expect(store.touch('one more', 1, later())).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringMatching(/too many writes/),
      notDone: true,
    })
    lock.exec('ROLLBACK')
    lock.close()
    await Promise.all(waiting)
    await storedRecord(store)
  })

  test('can be opened as soon as the lock is gone', async () => {
    await open().close?.()
    const holder = fork(fileURLToPath(new URL('./sqlite-locker.ts', import.meta.url)), [path, '300'], { execArgv: stripTypes() })
    children.push(holder)
    await once(holder, 'message')
    await storedRecord(open())
  })
})

describe('the sqlite file', () => {
  test('is readable for its owner only, and so are the files beside it', async () => {
    const umask = process.umask(0)
    try {
      await storedRecord(open())
      for (const suffix of ['', '-wal', '-shm']) expect((statSync(path + suffix).mode & 0o777).toString(8), suffix).toBe('600')
    } finally {
      process.umask(umask)
    }
  })

  test("keeps the mode that its owner gave it, and the owner's other tables", async () => {
    const owner = stranger()
    owner.exec('CREATE TABLE users (id)')
    chmodSync(path, 0o640)
    await storedRecord(open())
    expect((statSync(path).mode & 0o777).toString(8)).toBe('640')
    expect(owner.prepare('SELECT count(*) AS n FROM users').get()).toEqual({ n: 0 })
    owner.close()
  })

  test('keeps everything over close and open', async () => {
    const store = open()
    const record = await storedRecord(store, { userId: 'alice' })
    await store.revokeUser('bob')
    const marks = await store.marks('bob')
    await store.close?.()
    const again = open()
    expect(await again.read(record.id)).toEqual(record)
    expect(await again.marks('bob')).toEqual(marks)
  })

  test('without its generation mark holds nothing alive, and gets a new one', async () => {
    const store = open()
    const record = await storedRecord(store, { userId: 'alice' })
    expect(store.read(record.id)).toEqual(record)
    const vandal = stranger()
    vandal.exec("DELETE FROM coatcheck_marks WHERE name = 'generation'")
    vandal.close()
    expect(await store.read(record.id)).toBeUndefined()
    expect(await store.listByUser('alice', 10)).toEqual([])
    expect((await store.scan(null, 10)).records).toEqual([])
    expect(await store.replace(nextVersion(record), later())).toBe('gone')
    expect(await store.create(sampleRecord({ generation: '' }), later())).toBe('refused')
    const { generation } = await store.marks(null)
    expect(generation).not.toBe(record.generation)
    expect(generation.length).toBeGreaterThan(8)
    expect(await store.read(record.id)).toBeUndefined()
    await storedRecord(store)
  })

  test('keeps an epoch for ten minutes at least, and not for ever', async () => {
    let now = Date.now()
    const store = open({ clock: { now: () => now } })
    await store.revokeUser('alice')
    now += EPOCH_KEPT_MS
    await store.prune?.(0, 10)
    expect((await store.marks('alice')).userEpoch).not.toBe('')
    now += 1
    await store.revokeUser('bob')
    expect((await store.marks('alice')).userEpoch).toBe('')
  })

  test('is pruned in small batches, between which other work goes on', async () => {
    const store = open()
    const { generation } = await store.marks(null)
    const filler = stranger()
    filler.exec('BEGIN')
    const insert = filler.prepare(
      "INSERT INTO coatcheck_sessions VALUES ($id, 1, 'h', NULL, '', $generation, 1, NULL, 1, 1, 0, NULL, NULL, '{}', 1)",
    )
    for (let i = 0; i < 5000; i++) insert.run({ id: `old ${i}`, generation: i % 2 ? generation : 'dead' })
    filler.exec('COMMIT')
    filler.close()
    let turns = 0
    const turning = setInterval(() => turns++, 0)
    expect(await store.prune?.(Date.now(), 4000)).toBe(4000)
    expect(turns).toBeGreaterThan(4)
    clearInterval(turning)
    expect(await store.prune?.(Date.now(), 4000)).toBe(1000)
    expect(await store.prune?.(Date.now(), 4000)).toBe(0)
  })
})

describe('what the sqlite store keeps in memory', () => {
  test('is dropped when another connection changed it, also if we wrote something else since', async () => {
    const [store, other] = [open(), open()]
    const [kept, own] = [await storedRecord(store), await storedRecord(store)]
    expect(store.read(kept.id)).toEqual(kept)
    const changed = nextVersion(kept, { data: '{"changed":1}' })
    expect(await other.replace(changed, later())).toBe('saved')
    await store.touch(own.id, own.lastSeenAt + 1, later())
    expect(await store.replace(nextVersion(own), later())).toBe('saved')
    expect(store.read(kept.id)).toEqual(changed)
    await other.delete(kept.id)
    await storedRecord(store)
    expect(store.read(kept.id)).toBeUndefined()
  })

  test('is what it was before a write of ours that failed', async () => {
    const store = open()
    const record = await storedRecord(store)
    const vandal = stranger()
    vandal.exec("CREATE TRIGGER t BEFORE UPDATE ON coatcheck_sessions BEGIN SELECT RAISE(ABORT, 'no'); END")
    expect(store.read(record.id)).toEqual(record)
    await expect(store.replace(nextVersion(record), later())).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(store.read(record.id)).toEqual(record)
    vandal.exec('DROP TRIGGER t')
    vandal.close()
    expect(await store.replace(nextVersion(record), later())).toBe('saved')
  })

  test('gives the very same frozen record while nothing changed', async () => {
    const store = open()
    const { id } = await storedRecord(store)
    const first = store.read(id)
    expect(store.read(id)).toBe(first)
    expect(Object.isFrozen(first)).toBe(true)
  })
})

describe('a write to the sqlite file', () => {
  test('is synced to the disk before it resolves if, and only if, it has to be', async () => {
    const connection = new Connection(path, 1000)
    const level = connection.prepare('PRAGMA synchronous')
    const levelOf = () => Number(level.get()?.synchronous)
    expect([await connection.write(levelOf), await connection.write(levelOf, true), levelOf()]).toEqual([1, 2, 1])
    await expect(connection.write(fail, true)).rejects.toThrow()
    expect(levelOf(), 'after a durable write that failed').toBe(1)
    await connection.close()
  })

  test('that fails half-way leaves nothing behind and no transaction open', async () => {
    const connection = new Connection(path, 1000)
    const insert = connection.prepare("INSERT INTO coatcheck_marks VALUES ('half', 'x')")
    const failing = connection.write(() => {
      insert.run()
      fail()
    })
    await expect(failing).rejects.toThrow(/half-way/)
    expect(connection.prepare("SELECT * FROM coatcheck_marks WHERE name = 'half'").all()).toEqual([])
    await connection.write(() => insert.run())
    await connection.close()
  })
})

function fail(): never {
  throw new Error('failed half-way')
}

/** Another process with a store on the same file. */
async function peer() {
  const child = fork(fileURLToPath(new URL('./sqlite-peer.ts', import.meta.url)), [path], { execArgv: stripTypes() })
  children.push(child)
  await once(child, 'message')
  return async (method: PeerCall['method'], ...args: unknown[]): Promise<unknown> => {
    child.send({ method, args })
    const [{ answer }] = await once(child, 'message')
    return answer
  }
}

describe('two processes on one sqlite file', () => {
  test('law 9: an end or a revocation in one is effective on the next read in the other', async () => {
    const store = open()
    const ask = await peer()
    for (let round = 0; round < 20; round++) {
      const [ended, revoked, swept] = [
        await storedRecord(store),
        await storedRecord(store, { userId: 'alice' }),
        await storedRecord(store),
      ]
      for (const { id } of [ended, revoked, swept]) {
        expect(await ask('read', id)).toMatchObject({ id })
        expect(store.read(id)).toMatchObject({ id })
      }
      expect(await store.delete(ended.id)).toBe(true)
      expect(await ask('read', ended.id)).toBeUndefined()
      expect(await ask('revokeUser', 'alice')).toEqual([revoked.id])
      expect(store.read(revoked.id)).toBeUndefined()
      await ask('revokeEveryone')
      expect(store.read(swept.id)).toBeUndefined()
    }
    await ask('close')
  })

  test('law 3: both write one session at once, and each version is saved by one of them only', async () => {
    const store = open()
    const ask = await peer()
    let record = await storedRecord(store)
    for (let round = 0; round < 50; round++) {
      const [ours, theirs] = [
        nextVersion(record, { data: `{"ours":${round}}` }),
        nextVersion(record, { data: `{"theirs":${round}}` }),
      ]
      const answers = await Promise.all([ask('replace', theirs, later()), store.replace(ours, later())])
      expect(answers.toSorted()).toEqual(['conflict', 'saved'])
      const stored = await store.read(record.id)
      expect(stored).toEqual(answers[0] === 'saved' ? theirs : ours)
      record = stored!
    }
    await ask('close')
  })

  test('a process that is killed loses nothing that it acknowledged, and brings nothing back, ten times', {
    timeout: 60_000,
  }, async () => {
    let told = 0
    for (let round = 0; round < 10; round++) {
      const outcomes = await killedWriter(150 + round * 20)
      told += outcomes.acknowledged.size
      const store = open()
      for (const [id, record] of outcomes.acknowledged) {
        const allowed = [record, ...(outcomes.inFlight.has(id) ? [outcomes.inFlight.get(id)] : [])]
        const stored = (await store.read(id)) ?? null
        expect(allowed).toContainEqual(stored)
      }
      await opened.pop()?.close?.()
    }
    const check = stranger()
    expect(check.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' })
    check.close()
    console.log(`sqlite: kill -9 of a writer, 10 times: ${told} acknowledged outcomes, none lost`)
    expect(told).toBeGreaterThan(100)
  })
})

type Outcomes = Map<string, SessionRecord | null>

/** Starts a writer, kills it with SIGKILL after `ms` of writing, and gives what it had been told and what was under way. */
async function killedWriter(ms: number): Promise<{ acknowledged: Outcomes; inFlight: Outcomes }> {
  const script = fileURLToPath(new URL('./sqlite-writer.ts', import.meta.url))
  const child = spawn(process.execPath, [...stripTypes(), script, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  let output = ''
  child.stdout.on('data', chunk => {
    output += chunk
  })
  await once(child.stdout, 'data')
  await delay(ms)
  child.kill('SIGKILL')
  await once(child, 'close')
  const acknowledged: Outcomes = new Map()
  let inFlight: Outcomes = new Map()
  // What follows the last line break was cut by the kill: the act had not been told as done.
  for (const line of output.split('\n').slice(0, -1)) {
    const { done, outcome } = JSON.parse(line) as { done: boolean; outcome: Record<string, SessionRecord | null> }
    inFlight = done ? new Map() : new Map(Object.entries(outcome))
    if (done) for (const [id, record] of Object.entries(outcome)) acknowledged.set(id, record)
  }
  return { acknowledged, inFlight }
}

/** Node 22.13 to 22.17 run TypeScript only when they are told to. */
function stripTypes(): string[] {
  return process.features.typescript ? [] : ['--experimental-strip-types']
}
