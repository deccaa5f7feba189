/*
 * status.tsx - how many, how much, and what tallyctl doctor says.
 */
import type { JSX } from 'preact'
import { call } from '../../api/client.ts'
import type { AdminStatus, Doctor } from '../../api/types.ts'
import { t } from '../../i18n/index.ts'
import { integer, utcTime } from '../../lib/format.ts'
import { lang } from '../../state/prefs.ts'
import { useResource } from '../../state/resource.ts'
import { Button } from '../../ui/controls.tsx'
import { Tile, Tiles } from '../../ui/facts.tsx'
import { Shimmer, Shimmers, Widget } from '../../ui/widget.tsx'

function storeWords({ store }: AdminStatus): string {
  if (!store.database_reachable) return t('admin.store.away')
  return t('admin.store.lag', { n: store.flush_lag_seconds })
}

function StoreNotes({ store }: AdminStatus): JSX.Element | null {
  const notes = [
    store.pending_rows > 0 && t('admin.store.pending', { n: integer(store.pending_rows, lang.value) }),
    store.dropped_logs > 0 && t('admin.store.dropped', { n: integer(store.dropped_logs, lang.value) }),
    store.last_error
  ].filter(Boolean)
  return notes.length === 0 ? null : <p class="muted">{notes.join(' · ')}</p>
}

function StatusCards(): JSX.Element {
  const status = useResource(() => call('get', '/api/admin/status'), [])
  const usage = useResource(() => call('get', '/api/admin/usage'), [])
  return (
    <Widget
      title={t('admin.today')} area="admin-status" of={status}
      placeholder={<Tiles>{(['users', 'keys', 'credits', 'store'] as const).map(n => <Tile key={n} term={t(`admin.card.${n}`)}><Shimmer size="tile" /></Tile>)}</Tiles>}
    >
      {s => (
        <>
          <Tiles>
            <Tile term={t('admin.card.users')}>{integer(s.user_count, lang.value)}</Tile>
            <Tile term={t('admin.card.keys')}>{integer(s.active_token_count, lang.value)}</Tile>
            <Tile term={t('admin.card.credits')}>
              {integer(s.today_credits_used, lang.value)}
              {usage.data !== undefined && <span class="unit"> / {integer(usage.data.usage.daily_limit, lang.value)}</span>}
            </Tile>
            <Tile term={t('admin.card.store')}>
              <span class={`status-dot ${s.store.database_reachable ? 'good' : 'bad'}`} aria-hidden="true" />{storeWords(s)}
            </Tile>
          </Tiles>
          <StoreNotes {...s} />
        </>
      )}
    </Widget>
  )
}

function Verdict({ of }: { of: Doctor }): JSX.Element {
  const tone = of.failures > 0 ? 'bad' : of.warnings > 0 ? 'warn' : 'good'
  return (
    <p class={`verdict verdict-${tone}`}>
      {tone === 'good' ? t('doctor.good') : t('doctor.findings', { failures: of.failures, warnings: of.warnings })}
      <span class="muted"> {t('doctor.at', { time: utcTime(of.checked_at) })}</span>
    </p>
  )
}

function DoctorCards(): JSX.Element {
  const doctor = useResource(() => call('get', '/api/admin/doctor'), [], true)
  return (
    <Widget
      title={t('doctor.title')} area="doctor" of={doctor} placeholder={<Shimmers size="row" count={6} />}
      aside={<Button icon="rotate" busy={doctor.loading} onClick={doctor.reload}>{t('doctor.again')}</Button>}
    >
      {d => (
        <>
          <Verdict of={d} />
          <ul class="checks">
            {d.checks.map((c, i) => (
              <li key={i} class={`check check-${c.state}`}>
                <span class="check-head"><strong>{c.name}</strong><span class={`chip chip-${c.state}`}>{t(`doctor.${c.state}`)}</span></span>
                <span class="check-words">{c.words}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </Widget>
  )
}

export function StatusTab(): JSX.Element {
  return <><StatusCards /><DoctorCards /></>
}
