import { describe, expect, test } from 'vitest'
import { type CsrfRuleOptions, rulesFrom } from '../../src/csrf/options.ts'

const refused = (options: object) => {
  expect(() => rulesFrom(options as CsrfRuleOptions)).toThrow(expect.objectContaining({ code: 'BAD_OPTION' }))
}

describe('trustedOrigins are exact serialized origins, checked when csrf() is called', () => {
  test.each(['https://app.example.com', 'http://localhost:3000', 'http://[::1]:3000', 'https://app.example.com:8443'])(
    '%s',
    one => {
      expect([...rulesFrom({ trustedOrigins: [one] }).trustedOrigins]).toEqual([one])
    },
  )

  test.each([
    'https://app.example.com/',
    'https://app.example.com/path',
    'https://app.example.com:443',
    'http://localhost:80',
    'https://App.example.com',
    'HTTPS://app.example.com',
    'https://*.example.com',
    'https://.example.com*',
    '*',
    'null',
    '',
    'app.example.com',
    '//app.example.com',
    'https://user@app.example.com',
    'https://app.example.com, https://b.example.com',
    'https://app.example.com https://b.example.com',
    ' https://app.example.com',
    'ftp://app.example.com',
    'https://münchen.example',
    'http://[0:0:0:0:0:0:0:1]:3000',
    'http://127.1',
    /example/,
    null,
    undefined,
    42,
    new URL('https://app.example.com'),
  ])('not %o', one => refused({ trustedOrigins: [one] }))

  test('the refusal names the origin that was meant', () => {
    expect(() => rulesFrom({ trustedOrigins: ['HTTPS://App.example.com:443'] })).toThrow("'https://app.example.com'")
  })

  test('nor is a string a list, although it can be walked through', () => {
    refused({ trustedOrigins: 'https://app.example.com' })
    refused({ exempt: 'POST /saml/acs' })
  })
})

describe('exempt takes exact routes only: no pattern can be too broad (CVE-2025-47910)', () => {
  test.each(['POST /saml/acs', 'PUT /', 'DELETE /a/b-c_d.e~f', 'POST /caf%C3%A9', 'POST /a:b'])('%s', one => {
    expect(rulesFrom({ exempt: [one] }).exempt.has(one)).toBe(true)
  })

  test.each([
    '/saml/acs',
    'POST',
    'POST saml/acs',
    'post /saml/acs',
    'POST  /saml/acs',
    'POST /saml/*',
    'POST /saml/:id',
    'POST /saml/acs?x=1',
    'POST /saml/acs#x',
    'POST /saml/(acs|b)',
    'POST /saml/{acs}',
    'POST /saml/acs ',
    'POST https://app.example.com/saml/acs',
    'GET /saml/acs',
    'HEAD /saml/acs',
    'OPTIONS /saml/acs',
    '* /saml/acs',
    /saml/,
    undefined,
  ])('not %o', one => refused({ exempt: [one] }))
})

describe('tokens is one of three words', () => {
  test.each(['accepted', 'required', 'off'] as const)('%s', tokens => expect(rulesFrom({ tokens }).tokens).toBe(tokens))
  test('accepted where nothing is said', () => expect(rulesFrom({}).tokens).toBe('accepted'))
  test.each([true, false, 'true', 'Off', 0, {}, null])('not %o', tokens => {
    if (tokens === null) expect(rulesFrom({ tokens } as never).tokens).toBe('accepted')
    else refused({ tokens })
  })
})
