/*
 * cards.tsx - the first row: balance, runway, status, plan.
 */
import type { JSX } from 'preact'
import type { History, Overview } from '../../api/types.ts'
import { t } from '../../i18n/index.ts'
import { clock, daysParts, integer, nextUtcMidnightMs, percent, share } from '../../lib/format.ts'
import { balanceOf, balanceTone, runwayDays } from '../../lib/usage.ts'
import { useSeconds } from '../../state/clock.ts'
import { lang } from '../../state/prefs.ts'
import type { Resource } from '../../state/resource.ts'
import { overview } from '../../state/session.ts'
import { Shimmer, Widget } from '../../ui/widget.tsx'

/* Live usage goes into the signal; the resource says whether it loads. */
function current(of: Resource<Overview>): Resource<Overview> {
  return { ...of, data: overview.value ?? undefined }
}

function ResetClock(): JSX.Element {
  const now = useSeconds()
  return <>{t('balance.reset', { time: clock((nextUtcMidnightMs(now) - now) / 1000) })}</>
}

const figure = <><Shimmer size="figure" /><Shimmer size="line" /></>

export function BalanceCard({ of }: { of: Resource<Overview> }): JSX.Element {
  return (
    <Widget title={t('balance.title')} area="balance" of={current(of)} placeholder={<>{figure}<Shimmer size="line" /></>}>
      {({ usage }) => {
        const balance = balanceOf(usage), tone = balanceTone(balance, usage.daily_limit)
        const left = share(balance, usage.daily_limit)
        return (
          <>
            <p class={`figure tone-${tone}`} data-testid="balance" data-value={balance}>
              {integer(balance, lang.value)} <span class="unit">{t('balance.unit')}</span>
            </p>
            <div
              class={`meter meter-${tone}`} role="meter" aria-label={t('balance.meter')}
              aria-valuemin={0} aria-valuemax={usage.daily_limit} aria-valuenow={balance} aria-valuetext={percent(left, lang.value)}
            >
              <div class="meter-fill" style={{ transform: `scaleX(${left})` }} />
            </div>
            <p class="muted split">
              <span>{t('balance.used', { used: integer(usage.credits_used, lang.value), limit: integer(usage.daily_limit, lang.value) })}</span>
              <span class="tabular"><ResetClock /></span>
            </p>
          </>
        )
      }}
    </Widget>
  )
}

export function RunwayCard({ of, days }: { of: Resource<History>, days: number }): JSX.Element {
  return (
    <Widget title={t('runway.title')} area="runway" of={of} placeholder={figure}>
      {history => {
        const usage = overview.value?.usage
        const left = usage === undefined ? null : runwayDays(balanceOf(usage), history, days)
        const [shown, unit] = left === null ? ['—', ''] : daysParts(left, lang.value)
        return (
          <>
            <p class="figure">{shown} <span class="unit">{unit}</span></p>
            <p class="muted">{t(left === null ? 'runway.none' : 'runway.words', { days })}</p>
          </>
        )
      }}
    </Widget>
  )
}

export function StatusCard({ of }: { of: Resource<Overview> }): JSX.Element {
  return (
    <Widget title={t('status.title')} area="status" of={current(of)} placeholder={figure}>
      {({ user, key }) => (
        <>
          <p class="figure figure-small">
            <span class={`status-dot ${user.status === 'active' ? 'good' : 'bad'}`} aria-hidden="true" />
            {t(user.status === 'active' ? 'status.active' : 'status.suspended')}
          </p>
          <p class="muted cut">{t('status.key', { label: key.label })}</p>
        </>
      )}
    </Widget>
  )
}

export function PlanCard({ of }: { of: Resource<Overview> }): JSX.Element {
  return (
    <Widget title={t('plan.title')} area="plan" of={current(of)} placeholder={figure}>
      {({ user, usage }) => (
        <>
          <p class="figure figure-small"><span class="badge">{user.plan}</span></p>
          <p class="muted">{t('plan.quota', { limit: integer(usage.daily_limit, lang.value) })}</p>
        </>
      )}
    </Widget>
  )
}
