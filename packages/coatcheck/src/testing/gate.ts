import type { MaybePromise, ScanPage, SessionStore, Watch } from '../core/store.ts'

/** The methods of a store that a gate stands before. */
export type GatedMethod =
  | 'read'
  | 'create'
  | 'replace'
  | 'touch'
  | 'delete'
  | 'listByUser'
  | 'marks'
  | 'revokeUser'
  | 'revokeEveryone'
  | 'scan'
  | 'prune'

/** 'before' the call reaches the store, or 'after' it took effect and before its answer is heard. */
export type Moment = 'before' | 'after'

/** One call at one moment, as a hook sees it. */
export interface GatedCall {
  readonly method: GatedMethod
  readonly moment: Moment
  readonly args: readonly unknown[]
}

/** A call that is being held. */
export interface Held {
  /** Resolves with the call's arguments once it has come to the gate. */
  readonly arrived: Promise<readonly unknown[]>
  /** Lets the call go on; before its arrival: lets it pass without a stop. */
  release(): void
  /** Makes the call fail with this error; held 'after', the write has happened and only its answer is lost. */
  fail(error: unknown): void
}

/** A store behind a gate, and the levers of the gate. */
export interface Gate {
  /** Hand this one to what is being tested. */
  readonly store: SessionStore
  /** How often each method was called since the last `reset`. */
  readonly calls: Readonly<Record<GatedMethod, number>>
  /** Holds the next call of `method` that `matches`. Several holds take one call each, in the order they were made. */
  hold(method: GatedMethod, moment?: Moment, matches?: (args: readonly unknown[]) => boolean): Held
  /** Makes the next call of `method` that `matches` fail at that moment. */
  failNext(method: GatedMethod, moment: Moment, error: unknown, matches?: (args: readonly unknown[]) => boolean): void
  /** Calls `hook` at both moments of every call and waits for it; what it throws, the call throws. Undefined ends that. */
  onCall(hook: ((call: GatedCall) => MaybePromise<void>) | undefined): void
  /** Releases what is held, forgets what was planned, and counts from zero. */
  reset(): void
}

interface Plan {
  readonly method: GatedMethod
  readonly moment: Moment
  readonly matches: (args: readonly unknown[]) => boolean
  readonly meet: (args: readonly unknown[]) => Promise<void>
  readonly cancel: () => void
}

const METHODS: readonly GatedMethod[] = [
  'read',
  'create',
  'replace',
  'touch',
  'delete',
  'listByUser',
  'marks',
  'revokeUser',
  'revokeEveryone',
  'scan',
  'prune',
]

/**
 * A store whose calls a test can count, hold, release and fail, so that a race is made to happen instead of hoped for.
 *
 * Calls that nothing is planned for go straight through: a `read` that is synchronous stays so.
 *
 * ```ts
 * const gate = gatedStore(memoryStore())
 * const held = gate.hold('replace')
 * const slow = request('/change')
 * await held.arrived
 * await request('/logout')
 * held.release()
 * ```
 */
export function gatedStore(inner: SessionStore): Gate {
  const plans: Plan[] = []
  const calls = Object.fromEntries(METHODS.map(method => [method, 0])) as Record<GatedMethod, number>
  let hook: ((call: GatedCall) => MaybePromise<void>) | undefined

  function pass<T>(method: GatedMethod, args: readonly unknown[], call: () => MaybePromise<T>): MaybePromise<T> {
    calls[method]++
    if (hook === undefined && !plans.some(plan => plan.method === method)) return call()
    return passSlowly(method, args, call)
  }

  async function passSlowly<T>(method: GatedMethod, args: readonly unknown[], call: () => MaybePromise<T>): Promise<T> {
    await meet({ method, moment: 'before', args })
    const answer = await call()
    await meet({ method, moment: 'after', args })
    return answer
  }

  async function meet(call: GatedCall): Promise<void> {
    const plan = plans.find(
      ({ method, moment, matches }) => method === call.method && moment === call.moment && matches(call.args),
    )
    if (plan) plans.splice(plans.indexOf(plan), 1)
    await plan?.meet(call.args)
    await hook?.(call)
  }

  function hold(method: GatedMethod, moment: Moment = 'before', matches: Plan['matches'] = () => true): Held {
    const arrival = deferred<readonly unknown[]>()
    const leave = deferred<void>()
    // A hold that is failed before anything came must not end the process as an unhandled rejection.
    leave.promise.catch(() => {})
    const plan: Plan = {
      method,
      moment,
      matches,
      meet(args) {
        holding.add(plan)
        arrival.resolve(args)
        return leave.promise.finally(() => holding.delete(plan))
      },
      cancel: () => leave.resolve(),
    }
    plans.push(plan)
    return { arrived: arrival.promise, release: () => leave.resolve(), fail: error => leave.reject(error) }
  }

  const holding = new Set<Plan>()

  return {
    store: gated(inner, pass),
    calls,
    hold,
    failNext: (method, moment, error, matches) => hold(method, moment, matches).fail(error),
    onCall(next) {
      hook = next
    },
    reset() {
      for (const plan of [...plans.splice(0), ...holding]) plan.cancel()
      for (const method of METHODS) calls[method] = 0
      hook = undefined
    },
  }
}

interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: unknown): void
}

function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}

type Pass = <T>(method: GatedMethod, args: readonly unknown[], call: () => MaybePromise<T>) => MaybePromise<T>

function gated(inner: SessionStore, pass: Pass): SessionStore {
  const later = async <T>(method: GatedMethod, args: readonly unknown[], call: () => Promise<T>): Promise<T> =>
    pass(method, args, call)
  return {
    name: inner.name,
    ...(inner.developmentOnly === undefined ? {} : { developmentOnly: inner.developmentOnly }),
    ...(inner.cannot === undefined ? {} : { cannot: inner.cannot }),
    read: id => pass('read', [id], () => inner.read(id)),
    create: (record, forgetAt) => later('create', [record, forgetAt], () => inner.create(record, forgetAt)),
    replace: (record, forgetAt) => later('replace', [record, forgetAt], () => inner.replace(record, forgetAt)),
    touch: (id, lastSeenAt, forgetAt) => later('touch', [id, lastSeenAt, forgetAt], () => inner.touch(id, lastSeenAt, forgetAt)),
    delete: (id, userId) => later('delete', [id, userId], () => inner.delete(id, userId)),
    listByUser: (userId, limit) => later('listByUser', [userId, limit], () => inner.listByUser(userId, limit)),
    marks: userId => later('marks', [userId], () => inner.marks(userId)),
    revokeUser: (userId, except) => later('revokeUser', [userId, except], () => inner.revokeUser(userId, except)),
    revokeEveryone: except => later('revokeEveryone', [except], () => inner.revokeEveryone(except)),
    scan: (after, limit): Promise<ScanPage> => later('scan', [after, limit], () => inner.scan(after, limit)),
    ...optional(inner, later),
  }
}

type Later = <T>(method: GatedMethod, args: readonly unknown[], call: () => Promise<T>) => Promise<T>

/** The optional methods, only where the inner store has them. */
function optional(inner: SessionStore, later: Later): Pick<SessionStore, 'prune' | 'watch' | 'close'> {
  const { prune, watch, close } = inner
  return {
    ...(prune && {
      prune: (before: number, limit: number) => later('prune', [before, limit], () => prune.call(inner, before, limit)),
    }),
    ...(watch && { watch: (changed: (id: string | null) => void): Promise<Watch> => watch.call(inner, changed) }),
    ...(close && { close: () => close.call(inner) }),
  }
}
