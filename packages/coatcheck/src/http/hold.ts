import { isPromise } from '../core/engine.ts'
import type { Exchange, Outgoing } from '../core/exchange.ts'
import { type Answer, answerTo } from '../core/guard.ts'
import type { MaybePromise } from '../core/store.ts'
import { clearHead, isMistake, sendAnswer } from './answer.ts'
import { disguise, type NotedMethod, pretend, pretendFinished, topmostOf } from './disguise.ts'
import { addToHead, type HeadCall, headCall, withSession } from './head.ts'
import { assertChunk, assertLastChunk, assertStatus, checkedHead, headersSentError } from './node-refusals.ts'
import { isHttp2, type NodeResponse } from './node-response.ts'
import { connectionOf, keepOpen, letClose } from './socket-gate.ts'

/** What is held for: the half of an exchange that deals with the response. */
export type Commit = Pick<Exchange, 'commit' | 'finish'> & Partial<Pick<Exchange, 'owed'>>

/** Says what is sent instead of the handler's response. */
export type AnswerTo = (error: unknown) => Answer

/**
 * - waiting: nothing has left, and nothing was asked to
 * - held: calls are noted down until a save is done
 * - open: calls pass
 * - replaced: our answer went out instead of the handler's; calls do nothing
 */
type Phase = 'waiting' | 'held' | 'open' | 'replaced'

const OWN_METHODS = ['writeHead', 'flushHeaders', 'write', 'end'] as const
type OwnMethod = (typeof OWN_METHODS)[number]

interface Call {
  readonly method: OwnMethod | NotedMethod
  readonly args: readonly unknown[]
}

/** What only a response that really waits needs. */
class Waiting {
  readonly statusCode: number
  readonly statusMessage: string
  readonly calls: Call[] = []
  bytes = 0
  ended = false
  needsDrain = false
  readonly restore: () => void

  constructor(response: NodeResponse) {
    this.statusCode = response.statusCode
    this.statusMessage = isHttp2(response) ? '' : response.statusMessage
    this.restore = pretend(response, this)
  }
}

const HOLD = Symbol('coatcheck.hold')

interface HeldResponse extends NodeResponse {
  [HOLD]: Hold
  readonly [EARLY]?: Early
}

/** One response's state. The methods it had before stand here, whoever put them there. */
class Hold {
  readonly response: HeldResponse
  readonly fail: (error: unknown) => void
  readonly answer: AnswerTo
  readonly writeHead: NodeResponse['writeHead']
  readonly flushHeaders: NodeResponse['flushHeaders']
  readonly write: NodeResponse['write']
  readonly end: NodeResponse['end']
  exchange: Commit
  phase: Phase = 'waiting'
  /** Kept, because a head that node refused is written a second time, and the session is committed once. */
  outcome: MaybePromise<Outgoing> | undefined = undefined
  /** True once `finish` was called: the next `end` is the last. */
  finished = false
  waiting: Waiting | undefined = undefined
  noted: ReturnType<typeof disguise> | undefined = undefined

  constructor(response: HeldResponse, exchange: Commit, fail: (error: unknown) => void, answer: AnswerTo) {
    this.response = response
    this.exchange = exchange
    this.fail = fail
    this.answer = answer
    const { writeHead, flushHeaders, write, end, [EARLY]: early } = response
    this.writeHead = writeHead === early?.writeHead ? early.below.writeHead : writeHead
    this.flushHeaders = flushHeaders === early?.flushHeaders ? early?.below.flushHeaders : flushHeaders
    this.write = write === early?.write ? early.below.write : write
    this.end = end === early?.end ? early.below.end : end
  }
}

/**
 * Holds a response at the first of `writeHead`, `flushHeaders`, `write` and `end` until the session is saved (law 4).
 *
 * Where nothing changed the call goes straight through, with the session's headers. Else status and headers are taken as
 * they stand, and this call and those that follow wait for the save, and are then made in their order, with their
 * callbacks. If the save fails, the error's answer is sent instead of the handler's.
 *
 * @param response a response of `http`, `https` or `http2`; call it when the session is touched, so that a request
 *   which never does pays nothing
 * @param exchange what to commit at the first byte, and to finish at the last
 * @param fail told, once an answer is out, of what it does not say: what `finish` threw, and mistakes that were answered with
 *   500
 * @param answer what is sent where the save failed
 */
export function hold(
  response: NodeResponse,
  exchange: Commit,
  fail: (error: unknown) => void,
  answer: AnswerTo = answerTo,
): void {
  const res = response as HeldResponse
  if (res[HOLD] !== undefined) join(res[HOLD], exchange)
  else install(res, exchange, fail, answer)
}

function install(res: HeldResponse, exchange: Commit, fail: (error: unknown) => void, answer: AnswerTo): void {
  const early = res[EARLY]
  const state = new Hold(res, exchange, fail, answer)
  res[HOLD] = state
  // Whoever has wrapped a method before the session was touched has put a property of its own in front of the prototype's.
  if (early === undefined || res.writeHead !== early.writeHead) res.writeHead = heldWriteHead
  if (early === undefined || res.flushHeaders !== early.flushHeaders) res.flushHeaders = heldFlushHeaders
  if (early === undefined || res.write !== early.write) res.write = heldWrite
  if (early === undefined || res.end !== early.end) res.end = heldEnd
  if (!res.headersSent) return
  state.phase = 'open'
  commitLate(state, exchange)
}

/** The held methods as they stand on a framework's prototype, and those that they stand before. */
interface Early extends OwnMethods {
  readonly below: OwnMethods
}

interface OwnMethods extends Pick<NodeResponse, Exclude<OwnMethod, 'flushHeaders'>> {
  readonly flushHeaders: NodeResponse['flushHeaders'] | undefined
}

const EARLY = Symbol('coatcheck.early')

/**
 * Lets the methods be held also of who takes one before the session is touched, as JavaScript does with `end` in
 * `res.end(await page(req.session))`: they stand on the framework's prototype of all responses, and look for a hold when
 * they are called. Put there once; where there is no such prototype, as on bare node, nothing is done.
 */
export function holdEarly(response: NodeResponse): void {
  const prototype = topmostOf(response)
  if (prototype === response || Object.hasOwn(prototype, EARLY)) return
  const early = earlyMethods(response)
  for (const name of OWN_METHODS) {
    Object.defineProperty(prototype, name, { value: early[name], writable: true, configurable: true })
  }
  Object.defineProperty(prototype, EARLY, { value: early })
  Object.defineProperty(prototype, HOLD, { value: undefined, writable: true, configurable: true })
}

/** Each goes on to the one below where nothing is held, or where the hold's own method stands in front of it. */
function earlyMethods(response: NodeResponse): Early {
  const { writeHead, flushHeaders, write, end } = topmostOf(response) as NodeResponse
  const below = { writeHead, flushHeaders, write, end }
  return {
    below,
    writeHead(this: HeldResponse, status, reason, headers) {
      const call = this[HOLD]?.writeHead === writeHead ? heldWriteHead : writeHead
      return call.call(this, status, reason, headers)
    },
    flushHeaders(this: HeldResponse) {
      if (this[HOLD]?.flushHeaders === flushHeaders) heldFlushHeaders.call(this)
      else flushHeaders?.call(this)
    },
    write(this: HeldResponse, chunk, encoding, callback) {
      const call = this[HOLD]?.write === write ? heldWrite : write
      return call.call(this, chunk, encoding, callback)
    },
    end(this: HeldResponse, chunk, encoding, callback) {
      const call = this[HOLD]?.end === end ? heldEnd : end
      return call.call(this, chunk, encoding, callback)
    },
  }
}

/** The session was first looked at after the first byte: its headers come too late, its changes are saved at the end. */
function commitLate({ fail }: Hold, exchange: Commit): void {
  try {
    const outcome = exchange.commit()
    if (isPromise(outcome)) outcome.catch(fail)
  } catch (error) {
    fail(error)
  }
}

/** A second session of the same response: two engines in one app, each with a property of its own. */
function join(state: Hold, exchange: Commit): void {
  state.exchange = both(state.exchange, exchange, state.fail)
  if (state.phase !== 'waiting' || state.outcome !== undefined) commitLate(state, exchange)
}

function both(one: Commit, two: Commit, fail: (error: unknown) => void): Commit {
  return {
    commit: () => after(one.commit(), first => after(two.commit(), second => merged(first, second))),
    // What the one cannot save says nothing of the other.
    finish: () => after(finishAndTell(one, fail), () => two.finish()),
    get owed() {
      return [...(one.owed ?? []), ...(two.owed ?? [])]
    },
  }
}

function after<A, B>(value: MaybePromise<A>, next: (value: A) => MaybePromise<B>): MaybePromise<B> {
  return isPromise(value) ? value.then(next) : next(value)
}

function merged(one: Outgoing, two: Outgoing): Outgoing {
  return {
    setCookie: [...one.setCookie, ...two.setCookie],
    personal: one.personal || two.personal,
    varies: one.varies || two.varies,
  }
}

function heldWriteHead(this: HeldResponse, status: number, reason?: unknown, headers?: unknown): unknown {
  const state = this[HOLD]
  if (state.phase === 'open' || state.phase === 'replaced') return state.writeHead.call(this, status, reason, headers)
  if (state.phase === 'held') throw headersSentError(this, 'write')
  const outcome = commitOnce(state)
  if (outcome === undefined) return this
  if (!isPromise(outcome)) return writeHeadNow(state, headCall(status, reason, headers), outcome)
  const call = checkedHead(this, headCall(status, reason, headers))
  startHolding(state, outcome, call.status)
  note(state, 'writeHead', [call])
  return this
}

function heldFlushHeaders(this: HeldResponse): void {
  const state = this[HOLD]
  const phase = begun(state)
  if (phase === 'open') state.flushHeaders?.call(this)
  if (phase === 'held') note(state, 'flushHeaders', [])
}

function heldWrite(this: HeldResponse, chunk: unknown, encoding?: unknown, callback?: unknown): boolean {
  const state = this[HOLD]
  if (state.phase === 'open') return state.write.call(this, chunk, encoding, callback)
  assertChunk(chunk)
  const phase = begun(state)
  if (phase === 'open') return state.write.call(this, chunk, encoding, callback)
  return phase === 'held' ? noteWrite(state, [chunk, encoding, callback]) : swallow([encoding, callback])
}

function heldEnd(this: HeldResponse, chunk?: unknown, encoding?: unknown, callback?: unknown): unknown {
  const state = this[HOLD]
  if (!state.finished) assertLastChunk(chunk)
  const isWhole = state.phase === 'waiting' && state.outcome === undefined
  const phase = begun(state)
  // A response that begins and ends in one call has just been committed: there is nothing more to finish.
  if (isWhole && phase === 'open') state.finished = true
  if (phase === 'open' && (state.finished || finishNow(state))) return state.end.call(this, chunk, encoding, callback)
  if (phase === 'replaced') swallow([chunk, encoding, callback])
  else noteEnd(state, [chunk, encoding, callback])
  return this
}

/** The phase once the commit was asked for: open at once where nothing had to be saved. */
function begun(state: Hold): Phase {
  if (state.phase !== 'waiting') return state.phase
  const outcome = commitOnce(state)
  if (outcome === undefined) return state.phase
  if (isPromise(outcome)) return startHolding(state, outcome, state.response.statusCode)
  addToHead(state.response, outcome)
  state.phase = 'open'
  return 'open'
}

/** Undefined where the commit failed on the spot: then the answer is out already. */
function commitOnce(state: Hold): MaybePromise<Outgoing> | undefined {
  if (state.outcome !== undefined) return state.outcome
  try {
    state.outcome = state.exchange.commit()
    // Whoever waits for it hears of its failure; that nobody does (a refused head) must not end the process.
    if (isPromise(state.outcome)) state.outcome.catch(() => {})
    return state.outcome
  } catch (error) {
    replaceAnswer(state, error)
    return undefined
  }
}

function writeHeadNow(state: Hold, call: HeadCall, outgoing: Outgoing): unknown {
  state.phase = 'open'
  try {
    return Reflect.apply(state.writeHead, state.response, headArguments(state.response, call, outgoing))
  } catch (error) {
    // Node refused the head: whoever answers to that error writes another one.
    if (!state.response.headersSent) state.phase = 'waiting'
    throw error
  }
}

/** The call with the session's headers, or with them set beside it where it brings none. */
function headArguments(response: NodeResponse, { status, reason, headers }: HeadCall, outgoing: Outgoing): unknown[] {
  const begin = reason === undefined ? [status] : [status, reason]
  if (headers !== undefined) return [...begin, withSession(headers, response, outgoing)]
  addToHead(response, outgoing)
  return begin
}

/** True if the last byte may leave now. */
function finishNow(state: Hold): boolean {
  const finishing = finish(state)
  if (finishing === undefined) return true
  holdCalls(state)
  finishing.then(() => release(state)).catch(error => breakOff(state, error))
  return false
}

/** Never throws: what the exchange's `finish` throws goes to the framework, and the response ends as it stands. */
function finish(state: Hold): Promise<void> | undefined {
  state.finished = true
  return finishAndTell(state.exchange, state.fail)
}

function finishAndTell(exchange: Commit, fail: (error: unknown) => void): Promise<void> | undefined {
  try {
    const finishing = exchange.finish()
    return isPromise(finishing) ? finishing.catch(error => tell(fail, error)) : undefined
  } catch (error) {
    tell(fail, error)
    return undefined
  }
}

/** Later, because the framework's error handler may destroy the socket: first what was answered is to leave. */
export function tell(fail: (error: unknown) => void, error: unknown): void {
  process.nextTick(tellNow, fail, error)
}

/** Nobody stands around this call: what `fail` throws would end the process. */
function tellNow(fail: (error: unknown) => void, error: unknown): void {
  try {
    fail(error)
  } catch (thrown) {
    process.emitWarning(thrown instanceof Error ? thrown : String(thrown))
  }
}

function startHolding(state: Hold, outcome: Promise<Outgoing>, status: number): Phase {
  assertStatus(state.response, status)
  holdCalls(state)
  outcome
    .then(
      outgoing => sendAsNoted(state, outgoing),
      (error: unknown) => replaceAnswer(state, error),
    )
    .catch(error => breakOff(state, error))
  return state.phase
}

async function sendAsNoted(state: Hold, outgoing: Outgoing): Promise<void> {
  if (state.waiting?.ended) await finish(state)
  release(state, outgoing)
}

/** Notes calls down from now on, and lets the response say what it would say had they been made. */
function holdCalls(state: Hold): void {
  const { response } = state
  state.phase = 'held'
  state.waiting = new Waiting(response)
  state.noted ??= disguise(response, {
    isHeld: () => state.phase === 'held',
    note: (method, args) => note(state, method, args),
  })
  keepOpen(connectionOf(response))
}

/** The calls as noted, made now. `outgoing` is there where the head is still to be written. */
function release(state: Hold, outgoing?: Outgoing): void {
  const waiting = open(state)
  if (waiting === undefined) return
  try {
    if (outgoing !== undefined) prepareHead(state, waiting, outgoing)
    makeAll(state, waiting)
  } finally {
    letClose(connectionOf(state.response))
  }
}

function makeAll(state: Hold, { calls, needsDrain, ended }: Waiting): void {
  let flows = true
  for (const call of calls) flows = make(state, call) !== false
  // Node emits 'drain' only for a `false` of its own.
  if (needsDrain && flows && !ended) process.nextTick(emitDrain, state.response)
}

function open(state: Hold): Waiting | undefined {
  const { waiting } = state
  state.waiting = undefined
  state.phase = 'open'
  waiting?.restore()
  return waiting
}

/** Status and headers as they stood at the first call, whatever was done to the status since. */
function prepareHead({ response }: Hold, { calls, statusCode, statusMessage }: Waiting, outgoing: Outgoing): void {
  response.statusCode = statusCode
  if (!isHttp2(response)) response.statusMessage = statusMessage
  const [first] = calls
  if (first?.method === 'writeHead') {
    calls[0] = { method: 'writeHead', args: headArguments(response, first.args[0] as HeadCall, outgoing) }
  } else addToHead(response, outgoing)
}

function make(state: Hold, { method, args }: Call): unknown {
  // By then every byte that was written before has been handed to the connection, as it had been without the wait.
  if (method === 'destroy') return void setImmediate(() => state.noted?.get(method)?.(...args))
  if (method === 'cork' || method === 'uncork') return state.noted?.get(method)?.(...args)
  const original = state[method]
  return original && Reflect.apply(original, state.response, args)
}

/** A noted call threw after all. What has not begun is answered; what has is cut off, so that it is not taken for whole. */
function breakOff(state: Hold, error: unknown): void {
  if (!state.response.headersSent) replaceAnswer(state, error)
  else cutOff(state, error)
}

function cutOff(state: Hold, error: unknown): void {
  state.response.destroy(error instanceof Error ? error : undefined)
  tell(state.fail, error)
}

/** Sends the error's answer in place of the handler's: nothing of that leaves (laws 4 and 6). */
function replaceAnswer(state: Hold, error: unknown): void {
  const waiting = open(state)
  state.finished = true
  clearHead(state.response)
  const { owed = [] } = state.exchange
  if (owed.length > 0) state.response.setHeader('Set-Cookie', [...owed])
  sendAnswer(state.response, answerFor(state.answer, error), state)
  state.phase = 'replaced'
  if (isMistake(error)) tell(state.fail, error)
  if (waiting === undefined) return
  for (const { args } of waiting.calls) swallow(args)
  if (waiting.needsDrain) process.nextTick(emitDrain, state.response)
  letClose(connectionOf(state.response))
}

/** The application's words; ours where it finds none. */
export function answerFor(answer: AnswerTo, error: unknown): Answer {
  try {
    return answer(error)
  } catch {
    return answerTo(error)
  }
}

function note({ waiting }: Hold, method: Call['method'], args: readonly unknown[]): void {
  waiting?.calls.push({ method, args })
}

/** False once as much is waiting as the response would buffer itself: the writer then waits for 'drain', as ever. */
function noteWrite(state: Hold, args: readonly [unknown, unknown, unknown]): boolean {
  note(state, 'write', args)
  const { waiting } = state
  if (waiting === undefined || waiting.ended) return false
  waiting.bytes += sizeOf(args[0], args[1])
  if (waiting.bytes >= state.response.writableHighWaterMark) waiting.needsDrain = true
  return !waiting.needsDrain
}

function noteEnd(state: Hold, args: readonly unknown[]): void {
  note(state, 'end', args)
  if (state.waiting === undefined) return
  state.waiting.ended = true
  pretendFinished(state.response)
}

/** The chunk itself is kept, not a copy: node holds on to it in the same way, until the callback. */
function sizeOf(chunk: unknown, encoding: unknown): number {
  if (typeof chunk !== 'string') return (chunk as Uint8Array).byteLength
  return Buffer.byteLength(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
}

/** Nothing is written, and whoever waits for it goes on. */
function swallow(args: readonly unknown[]): true {
  const callback = args.find(arg => typeof arg === 'function')
  if (callback !== undefined) process.nextTick(callback as () => void)
  return true
}

function emitDrain(response: HeldResponse): void {
  response.emit('drain')
}
