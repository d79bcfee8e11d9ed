import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type CsrfFacts, judge, needsToken, refusalOf, type Verdict } from '../../src/csrf/headers.ts'
import { rulesFrom, type TokenUse } from '../../src/csrf/options.ts'
import { parseOrigin, serializedOrigin } from '../../src/csrf/origin.ts'

const OWN = 'https://app.example.com'
const TRUSTED = 'https://trusted.example.org'
const rules = rulesFrom({ trustedOrigins: [TRUSTED], exempt: ['POST /saml/acs'] })

interface Given {
  readonly method?: string
  readonly path?: string
  readonly secure?: boolean
  readonly host?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
}

function factsOf({ headers = {}, ...given }: Given): CsrfFacts {
  const request = { method: 'POST', path: '/account', secure: true, host: 'app.example.com', ...given }
  return { ...request, header: name => (Object.hasOwn(headers, name) ? headers[name] : undefined) }
}

const verdictOf = (given: Given) => judge(factsOf(given), rules)
const from = (origin: string, given: Given = {}): Given => ({ ...given, headers: { origin, ...given.headers } })
const site = (value: string, headers: Record<string, string> = {}): Given => ({
  headers: { 'sec-fetch-site': value, ...headers },
})

/** Each table is one sentence of DESIGN §8. */
type Row = readonly [what: string, given: Given, verdict: Verdict]

const safeMethods: readonly Row[] = [
  ...['GET', 'HEAD', 'OPTIONS'].map((method): Row => [`${method} from anywhere`, { ...site('cross-site'), method }, 'safe']),
  ...['POST', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'CONNECT', 'QUERY', 'get', 'Head', ''].map(
    (method): Row => [`'${method}' from another site`, { ...site('cross-site'), method }, 'foreign'],
  ),
]

const fetchMetadata: readonly Row[] = [
  ['same-origin', site('same-origin'), 'ours'],
  ['none: the person, not a page', site('none'), 'ours'],
  ['same-origin with the Origin of it', site('same-origin', { origin: OWN }), 'ours'],
  ['cross-site', site('cross-site'), 'foreign'],
  ['same-site: a sibling subdomain', site('same-site', { origin: 'https://blog.example.com' }), 'foreign'],
  ['same-site without Origin', site('same-site'), 'foreign'],
  ['cross-site from the trusted origin', site('cross-site', { origin: TRUSTED }), 'ours'],
  ['same-site from the trusted origin', site('same-site', { origin: TRUSTED }), 'ours'],
  ['cross-site with our own Origin, which no browser sends', site('cross-site', { origin: OWN }), 'foreign'],
  ['cross-site with JSON', site('cross-site', { 'content-type': 'application/json' }), 'foreign'],
  ['cross-site with X-Requested-With', site('cross-site', { 'x-requested-with': 'fetch' }), 'foreign'],
  ['an unknown value', site('same-party'), 'foreign'],
  ['an empty value', site(''), 'foreign'],
  ['another case', site('Same-Origin'), 'foreign'],
  ['two values', site('same-origin, cross-site'), 'foreign'],
]

const ownOrigin: readonly Row[] = [
  ['the very same', from(OWN), 'ours'],
  ['the same with the default port written out', from(`${OWN}:443`), 'ours'],
  ['the same in capitals', from('HTTPS://APP.Example.COM'), 'ours'],
  ['Host with the default port', from(OWN, { host: 'app.example.com:443' }), 'ours'],
  ['Host in capitals', from(OWN, { host: 'APP.EXAMPLE.COM' }), 'ours'],
  ['port 3000 on plain http', from('http://localhost:3000', { secure: false, host: 'localhost:3000' }), 'ours'],
  ['port 80 left out on plain http', from('http://app.lan', { secure: false, host: 'app.lan:80' }), 'ours'],
  ['IPv6', from('http://[::1]:3000', { secure: false, host: '[::1]:3000' }), 'ours'],
  ['IPv6 written at length in Host', from('http://[::1]:3000', { secure: false, host: '[0:0:0:0:0:0:0:1]:3000' }), 'ours'],
  ['both with a trailing dot', from(`${OWN}.`, { host: 'app.example.com.' }), 'ours'],
  ['an underscore, as containers are named', from('http://my_app:3000', { secure: false, host: 'my_app:3000' }), 'ours'],
  ['another scheme', from('http://app.example.com'), 'foreign'],
  ['plain http in front, TLS claimed', from(OWN, { secure: false }), 'foreign'],
  ['another port', from(`${OWN}:8443`), 'foreign'],
  ['port 80 of https', from(`${OWN}:80`), 'foreign'],
  ['our host without our port', from('http://app.lan', { secure: false, host: 'app.lan:3000' }), 'foreign'],
  ['another host', from('https://evil.example'), 'foreign'],
  ['a sibling subdomain', from('https://blog.example.com'), 'foreign'],
  ['the parent domain', from('https://example.com'), 'foreign'],
  ['ours as a prefix', from(`${OWN}.evil.example`), 'foreign'],
  ['ours as a suffix', from('https://evil-app.example.com'), 'foreign'],
  ['a trailing dot on one side: another host to browsers', from(`${OWN}.`), 'foreign'],
  ['another IPv6 address', from('http://[::2]:3000', { secure: false, host: '[::1]:3000' }), 'foreign'],
  ['no Host at all', from(OWN, { host: undefined }), 'foreign'],
  ['an empty Host', from('https://', { host: '' }), 'foreign'],
]

const trickyOrigin: readonly Row[] = [
  ['null', from('null'), 'foreign'],
  ['null, and JSON', from('null', { headers: { 'content-type': 'application/json' } }), 'foreign'],
  ['null, and null as Host', from('null', { host: 'null' }), 'foreign'],
  ['empty', from(''), 'foreign'],
  ['userinfo that looks like us (golang/go#78563)', from('https://app.example.com@evil.example'), 'foreign'],
  ['userinfo before us', from('https://evil.example@app.example.com'), 'foreign'],
  ['user and password before us', from('https://a:b@app.example.com'), 'foreign'],
  ['userinfo in Host', from(OWN, { host: 'evil.example@app.example.com' }), 'foreign'],
  ['a path', from(`${OWN}/`), 'foreign'],
  ['a query', from(`${OWN}?`), 'foreign'],
  ['a fragment', from(`${OWN}#`), 'foreign'],
  ['a path in Host', from(OWN, { host: 'app.example.com/' }), 'foreign'],
  ['backslashes', from('https:\\\\app.example.com'), 'foreign'],
  ['one slash', from('https:/app.example.com'), 'foreign'],
  ['no scheme', from('//app.example.com'), 'foreign'],
  ['the host alone', from('app.example.com'), 'foreign'],
  ['a tab that URL parsers drop', from('https://app.exam\tple.com'), 'foreign'],
  ['a blank before', from(` ${OWN}`), 'foreign'],
  ['percent-encoding that URL parsers resolve', from('https://app.%65xample.com'), 'foreign'],
  ['a full-width letter that URL parsers fold', from('https://app.ｅxample.com'), 'foreign'],
  ['two origins, with a blank (RFC 6454 §7)', from(`${OWN} https://evil.example`), 'foreign'],
  ['two Origin headers, joined', from(`${OWN}, https://evil.example`), 'foreign'],
  ['ours twice', from(`${OWN}, ${OWN}`), 'foreign'],
  ['a port that is none', from(`${OWN}:x`), 'foreign'],
  ['a port out of range', from(`${OWN}:65979`), 'foreign'],
  ['an empty port', from(`${OWN}:`), 'foreign'],
  ['another scheme of the same words', from('ftp://app.example.com'), 'foreign'],
  ['an extension', from('chrome-extension://app.example.com'), 'foreign'],
  ['a blob', from(`blob:${OWN}`), 'foreign'],
]

const trustedOrigin: readonly Row[] = [
  ['the trusted one', from(TRUSTED), 'ours'],
  ['the trusted one with its default port', from(`${TRUSTED}:443`), 'ours'],
  ['the trusted one, Host unknown', from(TRUSTED, { host: undefined }), 'ours'],
  ['the trusted one over plain http', from('http://trusted.example.org'), 'foreign'],
  ['the trusted one on another port', from(`${TRUSTED}:8443`), 'foreign'],
  ['a subdomain of it', from('https://a.trusted.example.org'), 'foreign'],
  ['it with userinfo', from('https://x@trusted.example.org'), 'foreign'],
  ['it and another', from(`${TRUSTED}, https://evil.example`), 'foreign'],
]

const type = (value: string): Given => ({ headers: { 'content-type': value } })

const neither: readonly Row[] = [
  ['JSON', type('application/json'), 'ours'],
  ['JSON with a charset', type('Application/JSON ; charset=utf-8'), 'ours'],
  ['a JSON of its own', type('application/vnd.api+json'), 'ours'],
  ['X-Requested-With', { headers: { 'x-requested-with': 'XMLHttpRequest' } }, 'ours'],
  ['a bearer', { headers: { authorization: 'Bearer abc' } }, 'ours'],
  ['nothing at all', {}, 'unsaid'],
  // No form can send it, but a method-override middleware before us makes it of a form's POST.
  ['nothing but DELETE', { method: 'DELETE' }, 'unsaid'],
  ['DELETE with X-Requested-With', { method: 'DELETE', headers: { 'x-requested-with': 'curl' } }, 'ours'],
  ['an urlencoded form', type('application/x-www-form-urlencoded'), 'unsaid'],
  ['a multipart form', type('multipart/form-data; boundary=x'), 'unsaid'],
  ['text', type('text/plain'), 'unsaid'],
  ['JSON as a parameter of text', type('text/plain; application/json'), 'unsaid'],
  ['JSON as a second type', type('text/plain, application/json'), 'unsaid'],
  ['JSON with words after it', type('application/jsonp'), 'unsaid'],
  ['Basic, which browsers repeat unasked', { headers: { authorization: 'Basic YTpi' } }, 'unsaid'],
  ['Negotiate', { headers: { authorization: 'Negotiate abc' } }, 'unsaid'],
  ['an empty bearer', { headers: { authorization: 'Bearer ' } }, 'unsaid'],
  ['a cookie, which changes nothing', { headers: { cookie: 'sid=x' } }, 'unsaid'],
  ['a token whose value nobody has looked at', { headers: { 'x-csrf-token': 'x' } }, 'unsaid'],
  ['a Referer of ours', { headers: { referer: `${OWN}/form` } }, 'unsaid'],
]

const exempt: readonly Row[] = [
  ['the route', { ...site('cross-site'), path: '/saml/acs' }, 'exempt'],
  ['the route from null', from('null', { path: '/saml/acs' }), 'exempt'],
  ['another method', { ...site('cross-site'), path: '/saml/acs', method: 'PUT' }, 'foreign'],
  ['a slash more', { ...site('cross-site'), path: '/saml/acs/' }, 'foreign'],
  ['a path below', { ...site('cross-site'), path: '/saml/acs/x' }, 'foreign'],
  ['a path that goes on', { ...site('cross-site'), path: '/saml/acsx' }, 'foreign'],
  ['two slashes', { ...site('cross-site'), path: '//saml/acs' }, 'foreign'],
  ['another case', { ...site('cross-site'), path: '/SAML/acs' }, 'foreign'],
  ['dots', { ...site('cross-site'), path: '/saml/acs/../../account' }, 'foreign'],
  ['encoded', { ...site('cross-site'), path: '/saml%2facs' }, 'foreign'],
]

describe.each([
  ['safe methods pass', safeMethods],
  ['Sec-Fetch-Site same-origin or none passes, any other value is refused unless the exact origin is trusted', fetchMetadata],
  ['without it Origin must equal our own serialized origin', ownOrigin],
  ['without it an Origin that is null, or none, is refused', trickyOrigin],
  ['without it the exact trusted origin passes', trustedOrigin],
  ['both absent: JSON, a header that forces a preflight, or else a token', neither],
  ['exempt by exact route', exempt],
])('DESIGN §8: %s', (_, rows) => {
  test.each(rows)('%s', (_, given, verdict) => expect(verdictOf(given)).toBe(verdict))
})

/** verdict, tokens, whether the token is valid → the code of the refusal */
const refusals: readonly [Verdict, TokenUse, boolean, string | undefined][] = [
  ['safe', 'required', false, undefined],
  ['exempt', 'required', false, undefined],
  ['ours', 'accepted', false, undefined],
  ['ours', 'off', false, undefined],
  ['ours', 'required', true, undefined],
  ['ours', 'required', false, 'BAD_CSRF_TOKEN'],
  ['unsaid', 'accepted', true, undefined],
  ['unsaid', 'accepted', false, 'BAD_CSRF_TOKEN'],
  ['unsaid', 'required', true, undefined],
  ['unsaid', 'required', false, 'BAD_CSRF_TOKEN'],
  ['unsaid', 'off', true, 'CROSS_ORIGIN'],
  ['unsaid', 'off', false, 'CROSS_ORIGIN'],
  ['foreign', 'accepted', false, 'CROSS_ORIGIN'],
  ['foreign', 'required', false, 'CROSS_ORIGIN'],
  ['foreign', 'off', false, 'CROSS_ORIGIN'],
]

describe('what becomes of a verdict', () => {
  test.each(refusals)('%s, tokens %s, valid %s: %s', (verdict, tokens, valid, code) =>
    expect(refusalOf(verdict, tokens, valid)?.code).toBe(code),
  )

  test.each(['accepted', 'required', 'off'] as const)(
    'a token never overrides a refusal by headers (tokens: %s), and is not even looked at',
    tokens => {
      expect(refusalOf('foreign', tokens, true)?.code).toBe('CROSS_ORIGIN')
      expect(needsToken('foreign', tokens)).toBe(false)
    },
  )
})

const word = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/)
const host = fc.oneof(
  fc.array(word, { minLength: 1, maxLength: 3 }).map(words => words.join('.')),
  fc.ipV4(),
  fc
    .ipV6()
    .filter(address => !address.includes('.'))
    .map(address => `[${address}]`),
)
const port = fc.oneof(
  fc.constant(''),
  fc.integer({ min: 1, max: 65_535 }).map(number => `:${number}`),
)
const scheme = fc.constantFrom('http' as const, 'https' as const)
/** Bytes and words that confuse parsers of addresses. */
const piece = fc.oneof(
  fc.constantFrom('https://', 'http://', '//', '@', ':', '/', '\\', '?', '#', '.', ' ', ',', '%', '[', ']', '\t', 'null', '443'),
  fc.constantFrom('app.example.com', 'evil.example', 'localhost', '127.0.0.1', '[::1]'),
  fc.string({ maxLength: 4, unit: 'binary' }),
)
const junk = fc.array(piece, { maxLength: 8 }).map(pieces => pieces.join(''))

describe('generated', () => {
  test('a page passes at the very address that it came from, however that is written', () => {
    fc.assert(
      fc.property(scheme, host, port, fc.boolean(), (scheme, host, port, loud) => {
        const origin = URL.parse(`${scheme}://${host}${port}`)?.origin
        fc.pre(origin !== undefined && origin !== 'null')
        const sent = loud ? `${host}${port}`.toUpperCase() : `${host}${port}`
        expect(verdictOf(from(origin, { secure: scheme === 'https', host: sent }))).toBe('ours')
      }),
      { numRuns: 2000 },
    )
  })

  test('a page of one address never passes at another', () => {
    fc.assert(
      fc.property(fc.tuple(scheme, host, port), fc.tuple(scheme, host, port), (one, two) => {
        const [theirs, ours] = [one, two].map(([scheme, host, port]) => URL.parse(`${scheme}://${host}${port}`)?.origin)
        fc.pre(theirs !== undefined && ours !== undefined && theirs !== ours)
        expect(verdictOf(from(theirs, { secure: two[0] === 'https', host: `${two[1]}${two[2]}` }))).toBe('foreign')
      }),
      { numRuns: 2000 },
    )
  })

  test('20,000 broken Origin headers: none throws, and none but the origin itself is taken for it', () => {
    let ours = 0
    fc.assert(
      fc.property(junk, junk, (text, host) => {
        if (verdictOf(from(text)) === 'ours') {
          ours++
          expect([OWN, `${OWN}:443`, TRUSTED, `${TRUSTED}:443`]).toContain(text.toLowerCase())
        }
        if (verdictOf(from(text, { host })) === 'ours') expect(URL.parse(text)?.username).toBe('')
      }),
      { numRuns: 20_000, examples: [[OWN, 'app.example.com']] },
    )
    expect(ours).toBeGreaterThan(0)
  })

  test('whatever else a request carries, foreign fetch metadata or a foreign Origin refuses it', () => {
    const extra = fc.dictionary(fc.constantFrom('content-type', 'x-requested-with', 'authorization', 'x-csrf-token'), fc.string())
    const telling = fc.oneof(
      fc.constantFrom('cross-site', 'same-site').map(value => ({ 'sec-fetch-site': value, origin: 'https://evil.example' })),
      fc.constantFrom('null', 'https://evil.example', 'http://app.example.com').map(origin => ({ origin })),
    )
    fc.assert(
      fc.property(extra, telling, fc.boolean(), (headers, told, valid) => {
        const verdict = verdictOf({ headers: { ...headers, ...told } })
        expect(refusalOf(verdict, 'accepted', valid)?.code).toBe('CROSS_ORIGIN')
      }),
      { numRuns: 2000 },
    )
  })

  test('an origin that was parsed is parsed to itself', () => {
    fc.assert(
      fc.property(junk, text => {
        const parsed = parseOrigin(text)
        if (parsed !== undefined) expect(parseOrigin(parsed)).toBe(parsed)
      }),
      { numRuns: 20_000 },
    )
  })
})

test('a megabyte of Host or Origin costs no more than its length', () => {
  const long = 'a.'.repeat(500_000)
  const begin = performance.now()
  expect(serializedOrigin('https', `${long}!`)).toBeUndefined()
  expect(parseOrigin(`https://${long}@x`)).toBeUndefined()
  expect(performance.now() - begin).toBeLessThan(500)
})
