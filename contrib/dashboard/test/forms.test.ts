import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EMPTY_FORM, expiresAt, keyBody, words } from '../src/lib/keyform.ts'
import { cleanToken, curlLine, envLines, jsonSettings, shellQuote } from '../src/lib/token.ts'

const NOW = Date.parse('2026-03-01T00:00:00Z')

test('what comes along with a pasted key is taken off', () => {
  assert.equal(cleanToken(' "codexible_abc"\n'), 'codexible_abc')
  assert.equal(cleanToken('\u200bcodexible_\ufeffabc\u2060'), 'codexible_abc')
  assert.equal(cleanToken('\u201ccodexible_abc\u201d'), 'codexible_abc')
  assert.equal(cleanToken('a.b-c~d+e/f='), 'a.b-c~d+e/f=')
})

test('lines for a shell survive quotes', () => {
  assert.equal(shellQuote("it's"), "'it'\\''s'")
  assert.equal(curlLine('http://h:1', 'k'), "curl -i -H 'Authorization: Bearer k' 'http://h:1/api/gate'")
  assert.equal(envLines('http://h', 'k'), "export TALLYD_URL='http://h'\nexport TALLYD_API_KEY='k'\n")
  assert.deepEqual(JSON.parse(jsonSettings('http://h', 'k')), { baseUrl: 'http://h', apiKey: 'k' })
})

test('an empty form asks for nothing', () => {
  assert.deepEqual(keyBody(EMPTY_FORM, NOW), {})
})

test('what was filled in is sent as the API takes it', () => {
  const form = {
    label: ' CI ', expiry: '30', date: '', scopes: 'read, chat.write', addresses: '10.0.0.0/8', rateLimit: '5', dailyCredits: '0'
  } as const

  assert.deepEqual(keyBody(form, NOW), {
    label: 'CI',
    expires_at: '2026-03-31T00:00:00.000Z',
    scopes: ['read', 'chat.write'],
    allowed_ips: ['10.0.0.0/8'],
    rate_limit: 5,
    daily_credit_limit: 0
  })
})

test('a date is sent in UTC; what is none is left for the daemon to refuse', () => {
  const at = (date: string) => expiresAt({ ...EMPTY_FORM, expiry: 'date', date }, NOW)

  assert.equal(at('2026-05-01T10:00'), new Date('2026-05-01T10:00').toISOString())
  assert.equal(at('soon'), 'soon')
})

test('words are cut at commas and blanks', () => {
  assert.deepEqual(words(' a, b;c  d '), ['a', 'b', 'c', 'd'])
  assert.deepEqual(words(''), [])
})
