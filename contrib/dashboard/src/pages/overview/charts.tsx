/*
 * charts.tsx - spending by day, cost by model, requests by hour, totals.
 */
import type { ComponentChildren, JSX } from 'preact'
import type { History, HourCount, Insights, ModelCost } from '../../api/types.ts'
import { Donut } from '../../charts/donut.tsx'
import { HoursChart } from '../../charts/hours.tsx'
import { LineChart } from '../../charts/line.tsx'
import { counted, t } from '../../i18n/index.ts'
import { hourRange, integer, monthDay, percent, share, usd } from '../../lib/format.ts'
import { ascending, slices } from '../../lib/usage.ts'
import { lang } from '../../state/prefs.ts'
import type { Resource } from '../../state/resource.ts'
import { Tile, Tiles } from '../../ui/facts.tsx'
import { Empty, Shimmer, Widget } from '../../ui/widget.tsx'

export function DailySpending({ of }: { of: Resource<History> }): JSX.Element {
  return (
    <Widget title={t('daily.title')} area="daily" of={of} placeholder={<Shimmer size="line-chart" />}>
      {history => {
        const spent = history.reduce((sum, d) => sum + d.cost_usd, 0)
        const points = ascending(history).map(d => ({
          label: monthDay(d.date),
          value: d.cost_usd,
          words: [d.date, usd(d.cost_usd, lang.value, 3), counted('credits', d.credits_used), counted('requests', d.request_count)]
        }))
        return (
          <LineChart
            caption={t('daily.title')}
            summary={t('daily.summary', { days: history.length, total: usd(spent, lang.value, 2) })}
            head={[t('daily.date'), t('daily.cost'), t('daily.credits.head'), t('daily.requests.head')]}
            points={points}
            axis={v => usd(v, lang.value, v !== 0 && v < 0.1 ? 3 : 2)}
          />
        )
      }}
    </Widget>
  )
}

export function CostByModel({ of }: { of: Resource<ModelCost[]> }): JSX.Element {
  return (
    <Widget title={t('models.title')} area="models" of={of} placeholder={<Shimmer size="donut-chart" />}>
      {models => {
        const parts = slices(models), total = parts.reduce((sum, p) => sum + p.cost, 0)
        if (total === 0) return <div class="chart-donut chart"><Empty>{t('models.empty')}</Empty></div>
        return (
          <Donut
            caption={t('models.title')}
            summary={t('models.summary', { n: models.length, total: usd(total, lang.value, 2) })}
            head={[t('models.model'), t('models.cost'), t('models.share'), t('models.requests')]}
            total={usd(total, lang.value, 2)}
            totalLabel={t('models.total')}
            parts={parts.map(p => {
              const name = p.name ?? t('models.other'), part = percent(share(p.cost, total), lang.value)
              return { name, value: p.cost, share: part, words: [name, usd(p.cost, lang.value, 3), part, integer(p.requests, lang.value)] }
            })}
          />
        )
      }}
    </Widget>
  )
}

export function HoursOfDay({ of }: { of: Resource<HourCount[]> }): JSX.Element {
  return (
    <Widget title={t('hours.title')} area="hours" of={of} placeholder={<Shimmer size="hours-chart" />}>
      {hours => {
        const total = hours.reduce((sum, h) => sum + h.requests, 0)
        if (total === 0) return <div class="chart chart-hours"><Empty>{t('hours.empty')}</Empty></div>
        return (
          <HoursChart
            caption={t('hours.title')}
            summary={t('hours.summary', { n: integer(total, lang.value) })}
            head={[t('hours.hour'), t('hours.requests')]}
            bars={hours.map(h => ({ hour: h.hour, value: h.requests, words: [`${hourRange(h.hour)} UTC`, counted('requests', h.requests)] }))}
          />
        )
      }}
    </Widget>
  )
}

export function InsightCards({ of }: { of: Resource<Insights> }): JSX.Element {
  const tiles = (value: (name: 'requests' | 'spent' | 'average' | 'peak') => ComponentChildren) => (
    <Tiles>
      <Tile term={t('insights.requests')}>{value('requests')}</Tile>
      <Tile term={t('insights.spent')}>{value('spent')}</Tile>
      <Tile term={t('insights.average')}>{value('average')}</Tile>
      <Tile term={t('insights.peak')}>{value('peak')}</Tile>
    </Tiles>
  )
  return (
    <Widget title={t('insights.title')} area="insights" of={of} placeholder={tiles(() => <Shimmer size="tile" />)}>
      {i => tiles(name => ({
        requests: integer(i.total_requests, lang.value),
        spent: usd(i.total_cost_usd, lang.value, 2),
        average: usd(i.avg_daily_cost_usd, lang.value, 3),
        peak: i.peak_hour === null ? t('insights.none') : <span class="nowrap">{hourRange(i.peak_hour)} <span class="unit">UTC</span></span>
      })[name])}
    </Widget>
  )
}
