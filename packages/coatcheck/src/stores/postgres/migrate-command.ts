#!/usr/bin/env node
import { parseArgs } from 'node:util'
import { CoatcheckError, isCoatcheckError } from '../../core/errors.ts'
import { migrate, migrations } from '../postgres.ts'

// The command `coatcheck-migrate`: runs when it is loaded.

const HELP = `coatcheck-migrate [--schema name] [--print]

Takes the steps that the tables of coatcheck/postgres lack, in one transaction.

  --schema name   where the tables are; coatcheck unless given
  --print         writes all steps as SQL instead, and asks no database

The database is that of DATABASE_URL; without it, that of PGHOST, PGUSER and the like. (On the command line an address
would show its password to everybody on the machine.)`

try {
  console.log(await answerTo(process.argv.slice(2)))
} catch (error) {
  console.error(isCoatcheckError(error) ? told(error) : error)
  process.exitCode = 1
}

/** With the cause's words, which hold no password; its object may. */
function told({ code, message, cause }: CoatcheckError): string {
  return cause instanceof Error ? `${code}: ${message}\n${cause.message}` : `${code}: ${message}`
}

async function answerTo(args: string[]): Promise<string> {
  const { schema, print, help } = read(args)
  if (help) return HELP
  const options = schema === undefined ? {} : { schema }
  if (print) return migrations(options).map(inTransaction).join('\n\n')
  const pool = await openPool()
  try {
    const taken = await migrate(pool, options)
    return taken.length === 0 ? 'No step was missing.' : `Taken: step ${taken.join(', ')}.`
  } finally {
    await pool.end()
  }
}

function read(args: string[]) {
  try {
    return parseArgs({
      args,
      options: { schema: { type: 'string' }, print: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    }).values
  } catch (cause) {
    throw new CoatcheckError('BAD_OPTION', `${(cause as Error).message}\n\n${HELP}`, { cause })
  }
}

function inTransaction({ number, sql }: { readonly number: number; readonly sql: string }): string {
  return `-- step ${number}\nBEGIN;\n${sql.trim()}\nCOMMIT;`
}

/** With the driver that the application has. */
async function openPool() {
  const { DATABASE_URL } = process.env
  const { default: pg } = await import('pg').catch((cause: unknown) => {
    throw new CoatcheckError('BAD_OPTION', 'There is no driver here: npm install pg.', { cause })
  })
  return new pg.Pool({ max: 1, connectionTimeoutMillis: 10_000, ...(DATABASE_URL && { connectionString: DATABASE_URL }) })
}
