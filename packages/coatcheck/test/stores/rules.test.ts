import { describe, expect, test } from 'vitest'
import type { SessionRecord } from '../../src/core/record.ts'
import { type Judgement, judgeReplace, mayBegin } from '../../src/stores/rules.ts'
import { nextVersion, sampleRecord } from '../../src/testing/records.ts'

const marks = { userEpoch: 'e2', generation: 'g2' }

describe('whether a record may begin', () => {
  test.each<[string, Partial<SessionRecord>, boolean]>([
    ['a visit of this generation', { generation: 'g2' }, true],
    ['a visit under any epoch', { generation: 'g2', userEpoch: 'e1' }, true],
    ['a visit of another generation', { generation: 'g1' }, false],
    ['a login under both marks', { userId: 'alice', userEpoch: 'e2', generation: 'g2' }, true],
    ['a login under an older epoch', { userId: 'alice', userEpoch: 'e1', generation: 'g2' }, false],
    ['a login under no epoch', { userId: 'alice', userEpoch: '', generation: 'g2' }, false],
    ['a login of another generation', { userId: 'alice', userEpoch: 'e2', generation: 'g1' }, false],
  ])('%s: %o', (_, fields, may) => {
    expect(mayBegin(sampleRecord(fields), marks)).toBe(may)
  })

  test('nothing may while there is no generation', () => {
    expect(mayBegin(sampleRecord({ generation: '' }), { userEpoch: '', generation: '' })).toBe(false)
  })
})

describe('what is to be done with a replace', () => {
  const stored = sampleRecord({ userId: 'alice', userEpoch: 'e1', generation: 'g2', version: 4 })
  const next = (fields: Partial<SessionRecord> = {}) => nextVersion(stored, fields)

  test.each<[string, SessionRecord | undefined, SessionRecord, Judgement]>([
    ['the next version', stored, next({ data: '{"x":1}' }), 'write'],
    ['the next version under an epoch that has passed, of the same person', stored, next({ userEpoch: 'e1' }), 'write'],
    ['the same write again', next({ data: '{"x":1}' }), next({ data: '{"x":1}' }), 'repeated'],
    ['the same write again, after a touch', next({ lastSeenAt: stored.lastSeenAt + 1 }), next(), 'repeated'],
    ['another write of the same version', next({ data: '{"x":1}' }), next({ data: '{"x":2}' }), 'conflict'],
    ['the same version with another hash', stored, { ...stored, tokenHash: 'x' }, 'conflict'],
    ['a version too high', stored, { ...stored, version: 6 }, 'conflict'],
    ['a version too low', stored, { ...stored, version: 3 }, 'conflict'],
    ['nothing stored', undefined, next(), 'gone'],
    ['a stored record of another generation', { ...stored, generation: 'g1' }, { ...next(), generation: 'g1' }, 'gone'],
    ['another person under both marks', stored, next({ userId: 'bob', userEpoch: 'e2' }), 'write'],
    ['another person under an older epoch', stored, next({ userId: 'bob', userEpoch: 'e1' }), 'refused'],
    ['another person of another generation', stored, next({ userId: 'bob', userEpoch: 'e2', generation: 'g1' }), 'refused'],
    ['nobody any more', stored, next({ userId: null }), 'write'],
    ['the same person from before the session was carried over', stored, next({ generation: 'g1' }), 'conflict'],
  ])('%s', (_, found, record, judgement) => {
    expect(judgeReplace(found, record, marks)).toBe(judgement)
  })

  test('all is gone while there is no generation', () => {
    const dead = { ...stored, generation: '' }
    expect(judgeReplace(dead, nextVersion(dead), { userEpoch: '', generation: '' })).toBe('gone')
  })
})
