import { parseArgs } from 'node:util'

/** What one run at scale does. */
export interface ScaleOptions {
  readonly sessions: number
  /** What the great size is compared with. */
  readonly smallSessions: number
  readonly stores: readonly ('postgres' | 'redis')[]
  readonly rounds: number
  /** Of one operation, in one round. */
  readonly sliceMs: number
  readonly touches: number
  /** How long it is served without a prune, to compare with. */
  readonly serveMs: number
  readonly write: boolean
  /** What the results' file is called after the day: one store's run never takes the place of both. */
  readonly suffix: string
}

const SESSIONS = 10_000_000
const SMALL = 10_000

/**
 * `--sessions n`, `--only postgres` or `redis`, `--write`. Only a run of everything at full size is written down unless
 * asked for.
 *
 * @throws Error for a number or a store that will not do
 */
export function readScaleOptions(args: readonly string[]): ScaleOptions {
  const { values } = parseArgs({
    args: [...args],
    options: { sessions: { type: 'string' }, only: { type: 'string' }, write: { type: 'boolean' } },
  })
  const sessions = Number(values.sessions ?? SESSIONS)
  if (!Number.isSafeInteger(sessions) || sessions < 1000) throw new Error('--sessions takes a whole number from 1000 on.')
  const stores = (['postgres', 'redis'] as const).filter(name => values.only === undefined || values.only === name)
  if (stores.length === 0) throw new Error(`--only takes postgres or redis, not ${values.only}.`)
  const isFull = sessions >= SESSIONS
  return {
    sessions,
    smallSessions: Math.min(SMALL, sessions),
    stores,
    rounds: isFull ? 7 : 3,
    sliceMs: isFull ? 2000 : 500,
    touches: Math.min(100_000, Math.floor(sessions / 2)),
    serveMs: isFull ? 20_000 : 2000,
    write: values.write ?? (isFull && values.only === undefined),
    suffix: values.only === undefined ? '' : `-${values.only}`,
  }
}
