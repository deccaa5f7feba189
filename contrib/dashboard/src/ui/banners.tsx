/*
 * banners.tsx - what concerns the whole page, above it.
 */
import type { ComponentChildren, JSX } from 'preact'
import { useEffect } from 'preact/hooks'
import { t } from '../i18n/index.ts'
import { clock, nextUtcMidnightMs } from '../lib/format.ts'
import { balanceOf } from '../lib/usage.ts'
import { useSeconds } from '../state/clock.ts'
import { limitedUntilMs, outage, overview, quotaRefused, retryNow, suspended, token } from '../state/session.ts'
import { Button } from './controls.tsx'
import { Icon } from './icons.tsx'

interface BannerProps { tone: 'bad' | 'warn', children: ComponentChildren, after?: ComponentChildren, action?: ComponentChildren }

/* What counts seconds stays out of the alert: it would be read out each time. */
function Banner({ tone, children, after, action }: BannerProps): JSX.Element {
  return (
    <div class={`banner banner-${tone}`}>
      <Icon name="warn" />
      <div class="banner-words"><p role="alert">{children}</p>{after}</div>
      {action}
    </div>
  )
}

function RateBanner(): JSX.Element {
  const now = useSeconds()
  const left = (limitedUntilMs.value - now) / 1000
  useEffect(() => {
    if (left <= 0) retryNow()
  }, [left <= 0])
  return (
    <Banner tone="warn" after={<p class="tabular" data-testid="countdown">{t('banner.rate.left', { time: clock(left) })}</p>}>
      {t('banner.rate')}
    </Banner>
  )
}

function QuotaBanner(): JSX.Element {
  const now = useSeconds()
  const left = (nextUtcMidnightMs(now) - now) / 1000
  return (
    <Banner tone="warn" after={<p class="tabular" data-testid="reset">{t('banner.quota.left', { time: clock(left) })}</p>}>
      {t('banner.quota')}
    </Banner>
  )
}

export function Banners(): JSX.Element {
  const usage = overview.value?.usage
  const usedUp = token.value !== null && (quotaRefused.value || (usage !== undefined && balanceOf(usage) === 0))
  return (
    <div class="banners">
      {outage.value !== null && (
        <Banner tone="bad" action={<Button onClick={retryNow}>{t('retry')}</Button>}>
          {t(outage.value === 'network' ? 'banner.network' : 'banner.server')}
        </Banner>
      )}
      {limitedUntilMs.value > 0 && <RateBanner />}
      {suspended.value && <Banner tone="bad">{t('fault.suspended')}</Banner>}
      {usedUp && <QuotaBanner />}
      {overview.value?.degraded && outage.value === null && <Banner tone="warn">{t('banner.degraded')}</Banner>}
    </div>
  )
}
