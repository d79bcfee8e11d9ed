/**
 * What your application keeps in a session. Add to it by declaration merging:
 *
 * ```ts
 * declare module 'coatcheck' {
 *   interface SessionData { userId: number; cart: string[] }
 * }
 * ```
 *
 * Every field is optional in `req.session`, since a session may not have it yet.
 */
// biome-ignore lint/suspicious/noEmptyInterface: it exists to be merged into.
export interface SessionData {}

interface OrdinaryData {
  userId: string
  role: string
}

type AllData = SessionData & Omit<OrdinaryData, keyof SessionData>

/** The data of a session: `SessionData`, with `userId` and `role` as text unless you typed them otherwise. */
export type Bag = { [Key in keyof AllData]?: AllData[Key] | undefined }

/** The type of `userId`: string unless you typed it otherwise. */
export type UserId = AllData['userId']
