import { sqliteStore } from '../../src/stores/sqlite.ts'

/** Another process on the same file: calls the method that it is told to, and answers over IPC. */
export interface PeerCall {
  readonly method: 'read' | 'delete' | 'revokeUser' | 'revokeEveryone' | 'replace' | 'create' | 'marks' | 'close'
  readonly args: readonly unknown[]
}

const store = sqliteStore(process.argv[2] ?? '')

process.on('message', async ({ method, args }: PeerCall) => {
  const answer: unknown = await Reflect.apply(store[method] ?? (() => undefined), store, args)
  process.send?.({ answer })
  if (method === 'close') process.disconnect()
})
process.send?.({ answer: 'ready' })
