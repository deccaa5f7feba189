/*
 * usage.ts - what pages work out of usage figures.  Pure.
 */
export const RANGES = [
  { id: '24h', days: 1 }, { id: '7d', days: 7 }, { id: '30d', days: 30 }, { id: 'all', days: 90 }
] as const
export type RangeId = (typeof RANGES)[number]['id']

export function rangeDays(id: RangeId): number {
  return RANGES.find(r => r.id === id)!.days
}

/** How many requests the recent list asks for. */
export function recentLimit(days: number): number {
  return Math.min(100, days * 5)
}

export function balanceOf(usage: { credits_used: number, daily_limit: number }): number {
  return Math.max(0, usage.daily_limit - usage.credits_used)
}

export type BalanceTone = 'good' | 'fair' | 'low'
/** Above half: good; above a fifth: fair; else low. */
export function balanceTone(balance: number, limit: number): BalanceTone {
  if (balance * 2 > limit) return 'good'
  return balance * 5 > limit ? 'fair' : 'low'
}

/** Days that the balance lasts at the mean of the history; null: no data. */
export function runwayDays(balance: number, history: readonly { credits_used: number }[], days: number): number | null {
  const used = history.reduce((sum, day) => sum + day.credits_used, 0)
  return used > 0 && days > 0 ? balance / (used / days) : null
}

/** The daemon answers newest first; charts run from left to right. */
export function ascending<T extends { date: string }>(history: readonly T[]): T[] {
  return [...history].sort((a, b) => a.date < b.date ? -1 : a.date > b.date ? 1 : 0)
}

export interface Slice { name: string | null, cost: number, requests: number }
export const SLICES_MAX = 8
/** The dearest eight by name, the rest as one slice without a name. */
export function slices(models: readonly { model: string, total_cost: number, requests: number }[]): Slice[] {
  const sorted = [...models].sort((a, b) => b.total_cost - a.total_cost || (a.model < b.model ? -1 : 1))
  const named: Slice[] = sorted.slice(0, SLICES_MAX).map(m => ({ name: m.model, cost: m.total_cost, requests: m.requests }))
  const rest = sorted.slice(SLICES_MAX)
  if (rest.length === 0) return named
  return [...named, {
    name: null,
    cost: rest.reduce((sum, m) => sum + m.total_cost, 0),
    requests: rest.reduce((sum, m) => sum + m.requests, 0)
  }]
}

/** The list with what came live on top; each request once, newest first. */
export function mergeRecent<T extends { id: string, created_at: string }>(
  fresh: readonly T[], known: readonly T[], most: number
): T[] {
  const seen = new Set<string>()
  return [...fresh, ...known]
    .filter(r => !seen.has(r.id) && seen.add(r.id))
    .sort((a, b) => a.created_at < b.created_at ? 1 : a.created_at > b.created_at ? -1 : 0)
    .slice(0, most)
}
