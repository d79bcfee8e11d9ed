import { expect, test } from 'vitest'
import { isOurs, type OriginFacts } from '../src/same-origin.ts'

const nothing: OriginFacts = {
  method: 'POST',
  site: undefined,
  origin: undefined,
  ownOrigin: 'http://app.example:3000',
  contentType: undefined,
}

test.each<[boolean, Partial<OriginFacts>]>([
  [true, { method: 'GET', site: 'cross-site', origin: 'http://evil.example' }],
  [true, { site: 'same-origin' }],
  [true, { site: 'none' }],
  [false, { site: 'same-site' }],
  [false, { site: 'cross-site' }],
  [false, { site: 'cross-site', origin: 'http://app.example:3000' }],
  [false, { site: '' }],
  [true, { origin: 'http://app.example:3000' }],
  [false, { origin: 'http://app.example' }],
  [false, { origin: 'https://app.example:3000' }],
  [false, { origin: 'http://app.example:3000@evil.example' }],
  [false, { origin: 'null' }],
  [true, { contentType: 'application/json; charset=utf-8' }],
  [false, { contentType: 'text/plain' }],
  [false, { contentType: 'application/x-www-form-urlencoded' }],
  [false, { contentType: 'multipart/form-data; boundary=x' }],
  [false, { contentType: 'application/jsonp' }],
  [true, {}],
])('%s for %j', (ours, facts) => {
  expect(isOurs({ ...nothing, ...facts })).toBe(ours)
})
