import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  ascending, balanceOf, balanceTone, mergeRecent, rangeDays, RANGES, recentLimit, runwayDays, slices
} from '../src/lib/usage.ts'
import { entries, type LiveEntry } from '../src/pages/overview/activity.ts'

test('ranges are 1, 7, 30 and 90 days', () => {
  assert.deepEqual(RANGES.map(r => r.days), [1, 7, 30, 90])
  assert.equal(rangeDays('7d'), 7)
  assert.deepEqual([1, 7, 30, 90].map(recentLimit), [5, 35, 100, 100])
})

test('the balance is never below nothing', () => {
  assert.equal(balanceOf({ credits_used: 142, daily_limit: 250 }), 108)
  assert.equal(balanceOf({ credits_used: 80, daily_limit: 75 }), 0)
})

test('green above half, accent above a fifth, else red', () => {
  assert.equal(balanceTone(126, 250), 'good')
  assert.equal(balanceTone(125, 250), 'fair')
  assert.equal(balanceTone(51, 250), 'fair')
  assert.equal(balanceTone(50, 250), 'low')
  assert.equal(balanceTone(0, 0), 'low')
})

test('the runway divides credits by credits a day', () => {
  const week = [{ credits_used: 10 }, { credits_used: 60 }]

  assert.equal(runwayDays(100, week, 7), 10)
  assert.equal(runwayDays(0, week, 7), 0)
  assert.equal(runwayDays(100, [], 7), null)
  assert.equal(runwayDays(100, [{ credits_used: 0 }], 1), null)
})

test('charts run from left to right', () => {
  const newestFirst = [{ date: '2026-03-02' }, { date: '2026-03-01' }, { date: '2026-02-28' }]

  assert.deepEqual(ascending(newestFirst).map(d => d.date), ['2026-02-28', '2026-03-01', '2026-03-02'])
  assert.equal(newestFirst[0]!.date, '2026-03-02')
})

test('beyond eight models there is one slice of others', () => {
  const models = Array.from({ length: 11 }, (_, i) => ({ model: `m${i}`, total_cost: i, requests: 1 }))
  const parts = slices(models)

  assert.equal(parts.length, 9)
  assert.equal(parts[0]!.name, 'm10')
  assert.deepEqual(parts[8], { name: null, cost: 0 + 1 + 2, requests: 3 })
  assert.deepEqual(slices(models.slice(0, 8)).map(p => p.name).includes(null), false)
  assert.deepEqual(slices([]), [])
})

test('a request is listed once, the newest on top', () => {
  const a = { id: 'a', created_at: '2026-03-01T10:00:00Z' }, b = { id: 'b', created_at: '2026-03-01T11:00:00Z' }

  assert.deepEqual(mergeRecent([b], [b, a], 10).map(r => r.id), ['b', 'a'])
  assert.deepEqual(mergeRecent([a], [b], 1).map(r => r.id), ['b'])
})

const log = (id: string, at: string) => ({
  id, model: 'm', prompt_tokens: 1, completion_tokens: 1, credits: 1, cost_usd: 0, created_at: at, date: at.slice(0, 10)
})
const live = (id: string, at: string, door: 'gate' | 'record', code: 'ok' | 'quota_exceeded' = 'ok'): LiveEntry => ({
  id,
  created_at: at,
  request: { request_id: id, key_id: 'k', door, code, reason: null, status: 200, credits: 1, created_at: at, date: at.slice(0, 10) }
})

test('a recorded request is told live until the log has it', () => {
  const logs = [log('l1', '2026-03-01T10:00:05Z')]

  assert.deepEqual(entries(logs, [live('r2', '2026-03-01T10:00:06Z', 'record')], 10).map(e => e.id), ['r2', 'l1'])
  assert.deepEqual(entries(logs, [live('r1', '2026-03-01T10:00:05Z', 'record')], 10).map(e => e.id), ['l1'])
})

test('what never comes to the log stays: other doors, refusals', () => {
  const logs = [log('l1', '2026-03-01T10:00:05Z')]
  const told = [live('g', '2026-03-01T10:00:04Z', 'gate'), live('q', '2026-03-01T10:00:03Z', 'record', 'quota_exceeded')]

  assert.deepEqual(entries(logs, told, 10).map(e => e.id), ['l1', 'g', 'q'])
})
