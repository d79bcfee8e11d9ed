import { expect, test } from 'vitest'
import type { Throughput } from '../src/measure/throughput.ts'
import type { Findings } from '../src/report.ts'
import { latencyOf } from '../src/statistics.ts'
import { verdictsOn } from '../src/verdicts.ts'

const NOTHING: Findings = {
  machine: {},
  subjects: [],
  throughput: new Map(),
  inProcess: new Map(),
  storeCalls: [],
  revocations: [],
  bytes: [],
  logins: undefined,
  missing: new Map(),
}

function rates(...perSecond: number[]): Throughput {
  const slices = perSecond.map(rate => ({ perSecond: rate, cpuUs: 1, coreShare: 1, loadBusy: 0 }))
  return { slices, requestBytes: 1, responseBytes: 1 }
}

const judged = (findings: Partial<Findings>) =>
  verdictsOn({ ...NOTHING, ...findings }).map(({ measured, met }) => [measured, met])

test('what was not measured is not judged', () => {
  expect(verdictsOn(NOTHING)).toEqual([])
  expect(judged({ throughput: new Map([['express-coatcheck-redis', rates(100)]]) })).toEqual([])
})

test('a ratio is that of the same round, in the median', () => {
  const strict = (own: Throughput) =>
    new Map([
      ['express-coatcheck-redis', own],
      ['express-session-redis', rates(100, 200, 50)],
    ])
  expect(judged({ throughput: strict(rates(150, 300, 10)) })).toEqual([['1.50', true]])
  expect(judged({ throughput: strict(rates(149, 298, 500)) })).toEqual([['1.49', false]])
})

test('what a session adds in process is the difference to the limit of the same round, in the median', () => {
  const costs = (own: readonly number[]) => ({
    inProcess: new Map([
      ['express-limit', [20, 30, 40]],
      ['express-coatcheck-memory', own],
    ]),
  })
  expect(judged(costs([21.5, 31, 50]))).toEqual([['1.5 µs', true]])
  expect(judged(costs([21.6, 31.6, 40]))).toEqual([['1.6 µs', false]])
})

test('a revocation may take 10 ms, or three bare round trips where that is more', () => {
  const revocation = (refused: number, bare: number) =>
    judged({
      revocations: [{ store: 'redis', refused: latencyOf([refused]), bare: latencyOf([bare]), servedAfter: 0, loadPerSecond: 1 }],
    })
  expect(revocation(9.9, 1)).toEqual([['9.9 ms', true]])
  expect(revocation(10.1, 1)).toEqual([['10.1 ms', false]])
  expect(revocation(11.9, 4)).toEqual([['11.9 ms', true]])
  expect(revocation(12.1, 4)).toEqual([['12.1 ms', false]])
})

test('bytes are judged to those of connect-redis, and a request under logins to an idle one', () => {
  const row = (name: string, perSession: number) => ({ name, title: name, sessions: 1, perSession })
  expect(judged({ bytes: [row('redis-coatcheck', 125), row('redis-connect', 100)] })).toEqual([['1.25', true]])
  expect(judged({ bytes: [row('redis-coatcheck', 126), row('redis-connect', 100)] })).toEqual([['1.26', false]])
  const logins = (busy: number) => ({ logins: 200, idle: latencyOf([1]), busy: latencyOf([busy]), memoryMiB: 1 })
  expect(judged({ logins: logins(3) })).toEqual([['3.00', true]])
  expect(judged({ logins: logins(3.1) })).toEqual([['3.10', false]])
})
