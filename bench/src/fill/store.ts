import type { SessionRecord, SessionStore } from 'coatcheck'
import { createdAt, DAY_MS, idAt, isDead, type Plan, tokenHashAt, userIdAt } from './plan.ts'

/** Sessions that are being made at once. */
const BATCH = 2000

/** The session of this number, as `fillPostgres` makes it too. */
export function recordAt(plan: Plan, number: number): SessionRecord {
  const { template, people } = plan
  const begun = createdAt(plan, number)
  const userId = userIdAt(number % people)
  return {
    ...template,
    id: idAt(number),
    tokenHash: tokenHashAt(number),
    userId,
    data: template.data.replace(template.userId!, userId),
    createdAt: begun,
    authenticatedAt: begun,
    lastSeenAt: begun,
    expiresAt: isDead(plan, number) ? template.createdAt - DAY_MS : template.expiresAt - template.createdAt + begun,
  }
}

/**
 * Fills any store through its own `create`.
 *
 * @param said called after each batch with the number of sessions so far; false ends the filling there
 * @returns how many were made
 */
export async function fillStore(store: SessionStore, plan: Plan, said?: (made: number) => Promise<boolean>): Promise<number> {
  let made = 0
  for (let more = true; more && made < plan.sessions; more = (await said?.(made)) ?? true) {
    const numbers = Array.from({ length: Math.min(BATCH, plan.sessions - made) }, (_, index) => made + index)
    await Promise.all(numbers.map(number => createOne(store, recordAt(plan, number))))
    made += numbers.length
  }
  return made
}

async function createOne(store: SessionStore, record: SessionRecord): Promise<void> {
  const outcome = await store.create(record, record.expiresAt)
  if (outcome !== 'created') throw new Error(`A session that is to be measured was not created: ${outcome}.`)
}
