import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  clock, compact, daysParts, hourRange, integer, monthDay, nextUtcMidnightMs, percent, relative, share, usd, utcTime
} from '../src/lib/format.ts'

test('figures are written as the language has them', () => {
  assert.equal(integer(1234567, 'en'), '1,234,567')
  assert.equal(integer(1234567, 'vi'), '1.234.567')
  assert.equal(usd(75.1875, 'en', 2), '$75.19')
  assert.equal(usd(0.0754, 'en', 3), '$0.075')
  assert.equal(percent(0.416, 'en'), '41.6%')
})

test('thousands are short, small numbers whole', () => {
  assert.equal(compact(0, 'en'), '0')
  assert.equal(compact(999, 'en'), '999')
  assert.equal(compact(1500, 'en'), '1.5K')
  assert.equal(compact(123456, 'en'), '123K')
})

test('days are counted in words', () => {
  assert.deepEqual(daysParts(1, 'en'), ['1', 'day'])
  assert.deepEqual(daysParts(1.52, 'en'), ['1.5', 'days'])
  assert.deepEqual(daysParts(1234.5, 'en'), ['1,235', 'days'])
  assert.deepEqual(daysParts(2.5, 'vi'), ['2,5', 'ngày'])
})

test('a share stays between nothing and all', () => {
  assert.equal(share(1, 4), 0.25)
  assert.equal(share(5, 4), 1)
  assert.equal(share(-1, 4), 0)
  assert.equal(share(0, 0), 0)
})

test('dates and hours are UTC', () => {
  assert.equal(monthDay('2026-03-01'), '03-01')
  assert.equal(hourRange(0), '00:00–01:00')
  assert.equal(hourRange(23), '23:00–00:00')
  assert.equal(utcTime('2026-03-01T12:34:56.789012Z'), '2026-03-01 12:34:56 UTC')
})

test('times are told relative to the given clock', () => {
  const now = Date.parse('2026-03-01T12:00:00Z')

  assert.equal(relative('2026-03-01T11:59:58Z', now, 'en'), 'now')
  assert.equal(relative('2026-03-01T11:59:20Z', now, 'en'), '40 seconds ago')
  assert.equal(relative('2026-03-01T11:55:00Z', now, 'en'), '5 minutes ago')
  assert.equal(relative('2026-03-01T09:30:00Z', now, 'en'), '2 hours ago')
  assert.equal(relative('2026-02-28T11:00:00Z', now, 'en'), 'yesterday')
  assert.equal(relative('2026-03-04T12:00:00Z', now, 'en'), 'in 3 days')
  assert.equal(relative('no time', now, 'en'), 'no time')
})

test('what counts down never shows less than it is', () => {
  assert.equal(clock(0), '0:00')
  assert.equal(clock(-3), '0:00')
  assert.equal(clock(0.2), '0:01')
  assert.equal(clock(65), '1:05')
  assert.equal(clock(3725), '1:02:05')
})

test('credits come back at the next midnight of UTC, never now', () => {
  const midnight = Date.parse('2026-03-02T00:00:00Z')

  assert.equal(nextUtcMidnightMs(Date.parse('2026-03-01T00:00:00Z')), midnight)
  assert.equal(nextUtcMidnightMs(Date.parse('2026-03-01T23:59:59.999Z')), midnight)
})
