/*
 * log.tsx - who changed what, newest first.
 */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { call } from '../../api/client.ts'
import type { AuditEntry } from '../../api/types.ts'
import { t } from '../../i18n/index.ts'
import { utcTime } from '../../lib/format.ts'
import { useResource } from '../../state/resource.ts'
import { Button, Field } from '../../ui/controls.tsx'
import { Table, TablePlaceholder, type Column } from '../../ui/table.tsx'
import { Empty, Widget } from '../../ui/widget.tsx'
import { useSettled } from './list.tsx'

const STEP = 50, MOST = 500 // the API gives no more

interface Numbered extends AuditEntry { at: string }

function columns(): Column<Numbered>[] {
  return [
    { label: t('log.time'), cell: e => <time dateTime={e.timestamp} class="tabular">{utcTime(e.timestamp)}</time> },
    { label: t('log.actor'), cell: e => <span class="cut" title={e.actor}>{e.actor}</span> },
    { label: t('log.action'), cell: e => <span class="chip">{e.action}</span> },
    { label: t('log.details'), cell: e => e.details ?? '—' },
    { label: t('log.target'), cell: e => e.target === null ? '—' : <code class="id">{e.target}</code> }
  ]
}

export function LogTab(): JSX.Element {
  const [query, setQuery] = useState(''), [limit, setLimit] = useState(STEP)
  const q = useSettled(query).trim()
  const log = useResource(() => call('get', '/api/admin/logs', { query: { q: q || undefined, limit } }), [q, limit], true)
  return (
    <Widget title={t('log.title')} area="log" of={log} placeholder={<TablePlaceholder rows={8} />}>
      {({ logs }) => (
        <>
          <div class="search"><Field label={t('log.search')} type="search" value={query} onInput={setQuery} maxLength={100} /></div>
          {logs.length === 0
            ? <Empty>{t('list.empty')}</Empty>
            : <Table caption={t('log.title')} className="table-log" columns={columns()} rows={logs.map((e, i) => ({ ...e, at: `${e.timestamp} ${i}` }))} keyOf={e => e.at} />}
          {logs.length >= limit && limit < MOST && (
            <div class="pager"><Button busy={log.loading} onClick={() => setLimit(n => Math.min(MOST, n + STEP))}>{t('log.more')}</Button></div>
          )}
        </>
      )}
    </Widget>
  )
}
