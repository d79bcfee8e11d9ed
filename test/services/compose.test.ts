import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { services } from './service.ts'

interface Compose {
  readonly services: Readonly<
    Record<string, { readonly image: string; readonly ports: string[]; readonly healthcheck: { readonly test: string[] } }>
  >
}

const root = join(import.meta.dirname, '../..')
const text = readFileSync(join(root, 'compose.yaml'), 'utf8')
const contributing = readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8')
const compose: Compose = parse(text, { strict: true, uniqueKeys: true })

/** What no single container can be, or nobody but a test needs. */
const ELSEWHERE = ['redis-cluster', 'pgbouncer', 'pg_basebackup', 'chromium']

const servers = Object.entries(services).filter(([name]) => !ELSEWHERE.includes(name))

test('compose.yaml has every server that tests can ask for, and no other', () => {
  expect(Object.keys(compose.services).sort()).toEqual(servers.map(([name]) => name).sort())
})

describe.each(servers)('%s in compose.yaml', (name, { env }) => {
  const service = compose.services[name]
  const lineIn = (page: string) => new RegExp(`^(?:# *)?export ${env}=(\\S+)$`, 'm').exec(page)?.[1] ?? ''

  test('is of one major version, and says when it is ready', () => {
    expect(service?.image).toMatch(/^[a-z]+:\d+$/)
    expect(service?.healthcheck.test[0]).toBe('CMD')
  })

  test('is on this machine only, at the address that the comment and CONTRIBUTING.md give', () => {
    const url = new URL(lineIn(text))
    expect(service?.ports).toEqual([`127.0.0.1:${url.port}:${url.port}`])
    expect(url.hostname).toBe('127.0.0.1')
    expect(lineIn(contributing)).toBe(lineIn(text))
  })
})

test('the password of Postgres is the one that its address has', () => {
  const { POSTGRES_USER, POSTGRES_PASSWORD } = parse(text).services.postgres.environment
  expect(text).toContain(`DATABASE_URL=postgres://${POSTGRES_USER}:${POSTGRES_PASSWORD}@`)
})
