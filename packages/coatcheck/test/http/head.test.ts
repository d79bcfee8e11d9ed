import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { addToHead, entriesOf, headCall, varyWithCookie, withSession } from '../../src/http/head.ts'

const ours = { setCookie: ['sid=token'], personal: true, varies: true }
const nothing = { setCookie: [], personal: false, varies: false }

function response(headers: Record<string, string | string[]> = {}): ServerResponse {
  const made = new ServerResponse(new IncomingMessage(new Socket()))
  for (const [name, value] of Object.entries(headers)) made.setHeader(name, value)
  return made
}

describe('Vary with Cookie in it', () => {
  test.for([
    [undefined, 'Cookie'],
    ['', 'Cookie'],
    ['Accept', 'Accept, Cookie'],
    ['X-Cookie, Cookies', 'X-Cookie, Cookies, Cookie'],
    [['Accept', 'Origin'], 'Accept,Origin, Cookie'],
  ] as const)('%j becomes %j', ([before, after]) => {
    expect(varyWithCookie(before)).toBe(after)
  })

  test.for(['*', 'cookie', 'Accept, COOKIE', 'Cookie ,Accept', ['Accept', 'Cookie'], 'Accept, *'])('%j stays', vary => {
    expect(varyWithCookie(vary)).toBeUndefined()
  })
})

describe('a head that is still to be written', () => {
  test('gets what the session says', () => {
    const res = response()
    addToHead(res, ours)
    expect({ ...res.getHeaders() }).toEqual({ 'set-cookie': ['sid=token'], vary: 'Cookie', 'cache-control': 'private, no-store' })
  })

  test('is left alone where that is nothing', () => {
    const res = response({ 'X-One': '1' })
    addToHead(res, nothing)
    expect({ ...res.getHeaders() }).toEqual({ 'x-one': '1' })
  })

  test('keeps the cookies of the handler, and gets ours once however often', () => {
    const res = response({ 'Set-Cookie': 'a=1', 'Cache-Control': 'no-cache', Vary: 'Accept' })
    for (let i = 0; i < 2; i++) addToHead(res, ours)
    expect({ ...res.getHeaders() }).toEqual({
      'set-cookie': ['a=1', 'sid=token'],
      vary: 'Accept, Cookie',
      'cache-control': 'no-cache',
    })
  })
})

describe('the arguments of writeHead are told apart as node does', () => {
  test.for([
    [[200], undefined, undefined],
    [[200, 'Fine'], 'Fine', undefined],
    [[200, { a: '1' }], undefined, { a: '1' }],
    [[200, 'Fine', { a: '1' }], 'Fine', { a: '1' }],
    [[200, undefined, ['a', '1']], undefined, ['a', '1']],
    [[200, null, { a: '1' }], undefined, { a: '1' }],
    [[200, { a: '1' }, { b: '2' }], undefined, { b: '2' }],
    [[200, 'Fine', null], 'Fine', undefined],
  ] as const)('%j', ([[status, reason, headers], words, given]) => {
    expect(headCall(status, reason, headers)).toEqual({ status: 200, reason: words, headers: given })
  })
})

describe('headers of writeHead and of the session', () => {
  test.for([
    [
      'an object',
      { 'X-One': '1' },
      { 'X-One': '1', 'Set-Cookie': ['sid=token'], Vary: 'Cookie', 'Cache-Control': 'private, no-store' },
    ],
    [
      'an object that says all itself',
      { 'set-cookie': 'a=1', vary: 'Accept', 'cache-control': 'no-cache' },
      { 'set-cookie': ['a=1', 'sid=token'], vary: 'Accept, Cookie', 'cache-control': 'no-cache' },
    ],
    [
      'a flat array',
      ['X-One', '1', 'Set-Cookie', 'a=1', 'Set-Cookie', 'b=2'],
      ['X-One', '1', 'Set-Cookie', ['a=1', 'b=2', 'sid=token'], 'Vary', 'Cookie', 'Cache-Control', 'private, no-store'],
    ],
    [
      'pairs',
      [
        ['Vary', '*'],
        ['Cache-Control', 'public'],
      ],
      [
        ['Vary', '*'],
        ['Cache-Control', 'public'],
        ['Set-Cookie', ['sid=token']],
      ],
    ],
    ['an empty array', [], ['Set-Cookie', ['sid=token'], 'Vary', 'Cookie', 'Cache-Control', 'private, no-store']],
  ] as const)('%s keeps its form', ([, headers, merged]) => {
    expect(withSession(headers, response(), ours)).toEqual(merged)
  })

  test('what was set before, and would be overridden by ours, is carried over', () => {
    const before = response({ 'Set-Cookie': 'a=1', Vary: 'Accept', 'Cache-Control': 'no-cache' })
    expect(withSession({}, before, ours)).toEqual({ 'Set-Cookie': ['a=1', 'sid=token'], Vary: 'Accept, Cookie' })
  })

  test('the object of the handler is not changed, whatever its keys', () => {
    const headers = Object.freeze(Object.assign(Object.create(null), { 'X-One': '1' }))
    expect(withSession(headers, response(), ours)).toHaveProperty('X-One', '1')
    expect(Object.keys(headers)).toEqual(['X-One'])
    const odd = withSession(JSON.parse('{"__proto__":"1"}'), response(), ours)
    expect(Object.getPrototypeOf(odd)).toBe(Object.prototype)
  })

  test.for([[['X-One']], [['a', 'b', 'c']], [[['a', '1'], ['b']]], [[['a', '1'], 'b']]] as const)(
    '%j is no list of headers, and goes to node as it is',
    ([headers]) => {
      expect(entriesOf(headers)).toBeUndefined()
      expect(withSession(headers, response(), ours)).toBe(headers)
    },
  )
})
