import { FAMILIES, PEOPLE, type StartSubject, type SubjectEntry, userIds } from './subject.ts'

/** Every subject, in the table's order. A new one is a file in `subjects/` and a line here. */
export const SUBJECTS: readonly SubjectEntry[] = [
  entry('express-limit', 'Express 5, one no-op middleware (the limit)', 'limit'),
  entry('express-coatcheck-memory', 'Coatcheck, memory', 'ours'),
  entry('express-coatcheck-sqlite', 'Coatcheck, sqlite', 'ours'),
  entry('express-fast-jwt-cached', 'fast-jwt, cache on', 'peer'),
  entry('express-fast-jwt', 'fast-jwt', 'peer'),
  entry('express-session-memory', 'express-session, MemoryStore', 'peer'),
  entry('express-session-memorystore', 'express-session, memorystore', 'peer'),
  entry('express-jsonwebtoken', 'jsonwebtoken', 'peer'),
  entry('express-better-auth', 'better-auth getSession, memory adapter', 'peer', { people: 10 }),
  entry('express-coatcheck-redis-near', 'Coatcheck, near cache on Redis', 'ours', { needs: 'REDIS_URL' }),
  entry('express-coatcheck-redis', 'Coatcheck, Redis, strict', 'ours', { needs: 'REDIS_URL' }),
  entry('express-session-redis', 'express-session, connect-redis', 'peer', { needs: 'REDIS_URL' }),
  entry('express-coatcheck-postgres-near', 'Coatcheck, near cache on Postgres', 'ours', { needs: 'DATABASE_URL' }),
  entry('express-coatcheck-postgres', 'Coatcheck, Postgres, strict', 'ours', { needs: 'DATABASE_URL' }),
  entry('express-session-postgres', 'express-session, connect-pg-simple', 'peer', { needs: 'DATABASE_URL' }),
  entry('express-coatcheck-mongo-near', 'Coatcheck, near cache on MongoDB', 'ours', { needs: 'MONGODB_URL' }),
  entry('express-coatcheck-mongo', 'Coatcheck, MongoDB, strict', 'ours', { needs: 'MONGODB_URL' }),
  entry('express-coatcheck-memcached', 'Coatcheck, Memcached, strict', 'ours', { needs: 'MEMCACHED_URL' }),
  entry('hono-limit', 'Hono, one no-op middleware (the limit)', 'limit'),
  entry('hono-coatcheck-memory', 'Coatcheck on Hono, memory', 'ours'),
  entry('fastify-limit', 'Fastify 5, one no-op hook (the limit)', 'limit'),
  entry('fastify-session', '@fastify/session, its memory store', 'peer'),
]

type Rest = Partial<Pick<SubjectEntry, 'people' | 'needs' | 'inProcess'>>

function entry(name: string, title: string, role: SubjectEntry['role'], rest: Rest = {}): SubjectEntry {
  const family = FAMILIES.find(family => name.startsWith(`${family}-`))!
  // What asks a server waits for it, and leaves the loop idle meanwhile.
  return { name, title, family, role, inProcess: family === 'express' && rest.needs === undefined, ...rest }
}

/** The subject of that name, running, with at most so many people signed in. */
export async function startSubject(name: string, most = PEOPLE) {
  const { people = PEOPLE } = SUBJECTS.find(subject => subject.name === name)!
  const { start }: { start: StartSubject } = await import(`./subjects/${name}.ts`)
  return start(userIds(Math.min(people, most)))
}
