import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addressOf, nextCursor } from '../src/api/client.ts'
import { faultOfReply, networkFault } from '../src/api/fault.ts'
import { SseParser } from '../src/api/sse.ts'

test('ids and parameters are escaped, absent ones left out', () => {
  assert.equal(addressOf('/api/keys/{key_id}', { path: { key_id: 'a/b' } }), '/api/keys/a%2Fb')
  assert.equal(addressOf('/x', { query: { q: 'a&b', limit: 5, cursor: undefined } }), '/x?q=a%26b&limit=5')
  assert.equal(addressOf('/x', { query: { q: '' } }), '/x')
})

test('the next page is in the Link header', () => {
  assert.equal(nextCursor('</api/keys?limit=2&cursor=abc%3D>; rel="next"'), 'abc=')
  assert.equal(nextCursor('</first>; rel="first", </n?cursor=7>; rel="next"'), '7')
  assert.equal(nextCursor('</first>; rel="first"'), null)
  assert.equal(nextCursor(null), null)
})

const reply = (status: number, code: string, after: string | null = null) =>
  faultOfReply(status, { get: () => after }, JSON.stringify({ error: { code, message: 'words', status } }))

test('the two kinds of 429 are told apart', () => {
  assert.equal(reply(429, 'rate_limited', '12').kind, 'rate')
  assert.equal(reply(429, 'rate_limited', '12').retryAfterS, 12)
  assert.equal(reply(429, 'quota_exceeded', '3600').kind, 'quota')
})

test('a fault has a kind by its status and the words of the daemon', () => {
  assert.equal(reply(401, 'unauthorized').kind, 'unauthorized')
  assert.equal(reply(403, 'forbidden').kind, 'forbidden')
  assert.equal(reply(409, 'key_limit_reached').kind, 'refused')
  assert.equal(reply(503, 'service_unavailable').kind, 'server')
  assert.equal(reply(409, 'conflict').message, 'words')
})

test('a proxy that answers in HTML is no reason to break', () => {
  const fault = faultOfReply(502, { get: () => null }, '<html>')

  assert.equal(fault.kind, 'server')
  assert.equal(fault.message, 'HTTP 502')
  assert.equal(fault.retryAfterS, 1)
})

test('an aborted call is no outage', () => {
  assert.equal(networkFault(new DOMException('x', 'AbortError')).kind, 'aborted')
  assert.equal(networkFault(new TypeError('Failed to fetch')).kind, 'network')
})

test('events come whole, however the bytes are cut', () => {
  const text = ': hello\n\nid: 7\nevent: usage\ndata: {"a":1}\n\nevent: request\r\ndata: x\r\ndata: y\r\n\r\ndata: z\n'
  for (let cut = 0; cut <= text.length; cut++) {
    const parser = new SseParser()
    const events = [...parser.feed(text.slice(0, cut)), ...parser.feed(text.slice(cut))]

    assert.deepEqual(events, [
      { event: 'usage', data: '{"a":1}', id: '7' },
      { event: 'request', data: 'x\ny', id: '7' }
    ], `cut at ${cut}`)
  }
})

test('comments are no events, retry is kept', () => {
  const parser = new SseParser()

  assert.deepEqual(parser.feed(':\n\n: x\n\nretry: 1500\n\n'), [])
  assert.equal(parser.retryMs, 1500)
})
