// What `declare module 'coatcheck'` gives and forbids. Each `@ts-expect-error` is a negative control: if the line under it
// were allowed, the type check of this file would fail.
import { assertSignedIn, createSessions, type Session } from 'coatcheck'
import { memoryStore } from 'coatcheck/memory'

declare module 'coatcheck' {
  interface SessionData {
    userId: number
    cart: string[]
  }
}

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function holds<_Claim extends true>(): void {}

export async function data(session: Session): Promise<void> {
  holds<Same<typeof session.userId, number | undefined>>()
  holds<Same<typeof session.cart, string[] | undefined>>()
  holds<Same<typeof session.role, string | undefined>>()
  holds<Same<typeof session.id, string | undefined>>()
  // @ts-expect-error: the claim is false, so `Same` can tell types apart.
  holds<Same<typeof session.userId, string | undefined>>()

  session.userId = 7
  session.cart = ['hat']
  session.cart = undefined
  delete session.cart
  delete session.role
  // @ts-expect-error: userId was typed as a number.
  session.userId = 'seven'
  // @ts-expect-error: a typo is not a new key.
  session.crat = ['hat']
  // @ts-expect-error: a field may be unset.
  session.cart.push('coat')
  // @ts-expect-error: the id is not data.
  session.id = 'mine'
  // @ts-expect-error: when somebody signed in is not data.
  session.authenticatedAt = new Date()

  await session.login(7, { remember: true, keep: ['cart'] })
  // @ts-expect-error: login takes what userId is.
  await session.login('seven')
  // @ts-expect-error: only keys of the data can be kept.
  await session.login(7, { keep: ['crat'] })
  await session.rotate()
  await session.save()
  await session.reload()
  await session.logout()
}

export function narrowed(session: Session): number {
  // @ts-expect-error: nobody may be signed in.
  const unsure: number = session.userId
  assertSignedIn(session)
  const sure: number = session.userId
  return unsure + sure
}

export const sessions = createSessions({ store: memoryStore(), secret: 'a secret of at least thirty-two bytes' })
// @ts-expect-error: a store is needed.
createSessions({ secret: 'a secret of at least thirty-two bytes' })
// @ts-expect-error: an option that does not exist.
createSessions({ store: memoryStore(), secret: 'a secret of at least thirty-two bytes', idleTimeOut: '1h' })
