import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Pool } from 'pg'
import { afterAll, describe, expect, test } from 'vitest'
import { service } from '../../../../test/services/service.ts'
import { postgresStore } from '../../src/stores/postgres.ts'
import { storedRecord } from '../../src/testing/records.ts'

const postgres = await service('postgres')
const url = postgres.url ?? ''
/** As it is published: the bin of the package. */
const command = fileURLToPath(new URL('../../dist/stores/postgres/migrate-command.js', import.meta.url))

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

async function run(args: readonly string[], databaseUrl = url): Promise<Outcome> {
  const env = { ...process.env, DATABASE_URL: databaseUrl }
  const running = promisify(execFile)(process.execPath, [command, ...args], { env })
  return running.then(
    said => ({ code: 0, ...said }),
    ({ code, stdout, stderr }: Outcome) => ({ code, stdout, stderr }),
  )
}

describe.skipIf(postgres.missing)('coatcheck-migrate', () => {
  const pool = new Pool({ connectionString: url, max: 2 })
  const schemas: string[] = []
  afterAll(async () => {
    for (const schema of schemas) await pool.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
    await pool.end()
  })
  function newSchema(): string {
    const schema = `test_${randomUUID().replaceAll('-', '')}`
    schemas.push(schema)
    return schema
  }

  test('takes the steps that the tables lack, and no step a second time', async () => {
    const schema = newSchema()
    expect(await run(['--schema', schema])).toEqual({ code: 0, stdout: 'Taken: step 1, 2.\n', stderr: '' })
    expect(await run(['--schema', schema])).toEqual({ code: 0, stdout: 'No step was missing.\n', stderr: '' })
    const store = postgresStore(pool, { schema })
    const { id } = await storedRecord(store)
    expect((await store.read(id))?.id).toBe(id)
  })

  test('prints SQL that makes the same tables, and asks no database for it', async () => {
    const schema = newSchema()
    const { code, stdout } = await run(['--schema', schema, '--print'], 'postgres://127.0.0.1:1/nowhere')
    expect(code).toBe(0)
    await pool.query(stdout)
    expect(await run(['--schema', schema])).toMatchObject({ code: 0, stdout: 'No step was missing.\n' })
  })

  test('says how it is called', async () => {
    expect(await run(['--help'])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/--schema name.*--print.*DATABASE_URL/s),
    })
  })

  test.each([
    ['a word that it does not know', ['--everything'], url, /BAD_OPTION: .*--everything.*--schema name/s],
    ['a schema that is no name', ['--schema', 'a b'], url, /BAD_OPTION: .*schema/],
    ['no server', [], 'postgres://me:a-secret@127.0.0.1:1/x', /STORE_UNAVAILABLE: /],
    ['a wrong password', [], url.replace(/\/\/[^@]*@/, '//nobody:a-secret@'), /STORE_UNAVAILABLE: .*(password|role|user)/],
  ])('%s: fails, with a reason and without the password', async (_what, args, databaseUrl, reason) => {
    const { code, stdout, stderr } = await run(args, databaseUrl)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(reason)
    expect(stderr).not.toContain('a-secret')
  })
})
