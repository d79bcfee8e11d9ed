/**
 * What most browsers say of themselves. A User-Agent is the longest thing that a session has besides its bag, and nearly
 * all of it is these. A phrase's place is its code: append only, or stored records would change.
 */
const PHRASES = [
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/',
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/',
  'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/',
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/',
  ' like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) ',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:',
  ' AppleWebKit/537.36 (KHTML, like Gecko) Chrome/',
  'Mozilla/5.0 (iPhone; CPU iPhone OS ',
  ' Mobile/15E148 Safari/604.1',
  '.0.0.0 Mobile Safari/537.36',
  '.0) Gecko/20100101 Firefox/',
  '.0.0.0 Safari/537.36',
  ' Safari/605.1.15',
  'Mozilla/5.0 (',
  'Version/',
  ' Edg/',
]

/** Control characters from here to 0x1f stand for a phrase: above what a header may hold (a tab). */
const FIRST_CODE = 0x0e
const CODES = new RegExp(`[${String.fromCharCode(FIRST_CODE)}-${String.fromCharCode(0x1f)}]`, 'g')
const ANY_PHRASE = new RegExp(PHRASES.map(phrase => phrase.replace(/[.()/]/g, '\\$&')).join('|'), 'g')
const codeOf = new Map(PHRASES.map((phrase, i) => [phrase, String.fromCharCode(FIRST_CODE + i)]))

/** The same in fewer characters; unchanged if it has none of the phrases, or characters that could be taken for one. */
export function packUserAgent(agent: string): string {
  return agent.search(CODES) === -1 ? agent.replace(ANY_PHRASE, phrase => codeOf.get(phrase) ?? phrase) : agent
}

/** What was packed. */
export function unpackUserAgent(packed: string): string {
  return packed.replace(CODES, code => PHRASES[code.charCodeAt(0) - FIRST_CODE] ?? code)
}
