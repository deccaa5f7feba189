/*
 * overview.tsx - what was used, by whom, and what is left.
 */
import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { call } from '../../api/client.ts'
import type { LiveRequest, Overview } from '../../api/types.ts'
import { t } from '../../i18n/index.ts'
import { RANGES, rangeDays, recentLimit, type RangeId } from '../../lib/usage.ts'
import { liveState, useLive } from '../../state/live.ts'
import { type Resource, useResource } from '../../state/resource.ts'
import { overview, token } from '../../state/session.ts'
import { Radios } from '../../ui/controls.tsx'
import { Shell } from '../../ui/shell.tsx'
import { keptLive, type LiveEntry } from './activity.ts'
import { BalanceCard, PlanCard, RunwayCard, StatusCard } from './cards.tsx'
import { CostByModel, DailySpending, HoursOfDay, InsightCards } from './charts.tsx'
import { QuickActions } from './quick.tsx'
import { RecentActivity } from './recent.tsx'

/* Charts follow a while after the last request: a busy key's page would
 * otherwise spend the key's own requests a minute. */
const CHARTS_AFTER_MS = 10000
/* Requests are in the log after the flusher's next turn. */
const RECENT_AFTER_MS = 1500

/** One call for as many wishes as come within the time. */
function useSoon(act: () => void, afterMs: number): () => void {
  const timer = useRef(0)
  const latest = useRef(act)
  latest.current = act
  useEffect(() => () => clearTimeout(timer.current), [])
  return () => {
    if (timer.current !== 0) return
    timer.current = window.setTimeout(() => {
      timer.current = 0
      latest.current()
    }, afterMs)
  }
}

function LiveMark(): JSX.Element {
  const words = t(`live.${liveState.value}`)
  return <span class={`live live-${liveState.value}`} data-testid="live" data-state={liveState.value}>{words}</span>
}

export function OverviewPage({ session }: { session: Resource<Overview> }): JSX.Element {
  const [range, setRange] = useState<RangeId>('7d')
  const [live, setLive] = useState<readonly LiveEntry[]>([])
  const days = rangeDays(range)
  const who = token.value

  const history = useResource(() => call('get', '/api/usage/history', { query: { days, fill: 1 } }), [days, who])
  const models = useResource(() => call('get', '/api/usage/models', { query: { days } }), [days, who])
  const insights = useResource(() => call('get', '/api/usage/insights', { query: { days } }), [days, who])
  const hours = useResource(() => call('get', '/api/usage/hourly'), [who])
  const recent = useResource(() => call('get', '/api/usage/detailed', { query: { days, limit: recentLimit(days) } }), [days, who])

  const reloadCharts = () => [history, models, insights, hours].forEach(r => r.reload())
  const chartsSoon = useSoon(reloadCharts, CHARTS_AFTER_MS)
  const recentSoon = useSoon(recent.reload, RECENT_AFTER_MS)
  useLive({
    onUsage(usage) {
      const before = overview.value
      if (before !== null) overview.value = { ...before, usage }
      chartsSoon()
    },
    onRequest(request: LiveRequest) {
      setLive(list => keptLive([{ id: request.request_id, created_at: request.created_at, request }, ...list]))
      if (request.door === 'record') recentSoon()
    },
    onMissed() {
      session.reload()
      recent.reload()
      chartsSoon()
    }
  })

  const options = RANGES.map(r => ({ value: r.id, label: t(`range.${r.id}`) }))
  return (
    <Shell at="overview" title={t('overview.title')} aside={<LiveMark />}>
      <div class="overview">
        <BalanceCard of={session} />
        <RunwayCard of={history} days={days} />
        <StatusCard of={session} />
        <PlanCard of={session} />
        <div class="area-range">
          <Radios legend={t('range')} value={range} options={options} onChange={setRange} />
        </div>
        <InsightCards of={insights} />
        <DailySpending of={history} />
        <CostByModel of={models} />
        <HoursOfDay of={hours} />
        <QuickActions />
        <RecentActivity of={recent} live={live} most={recentLimit(days)} />
      </div>
    </Shell>
  )
}
