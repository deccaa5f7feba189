/*
 * log.tsx - who changed what, newest first.
 */
import type { JSX } from 'preact'
import { callPage } from '../../api/client.ts'
import type { AuditEntry } from '../../api/types.ts'
import { t } from '../../i18n/index.ts'
import { utcTime } from '../../lib/format.ts'
import { Table, type Column } from '../../ui/table.tsx'
import { ListCard, useList } from './list.tsx'

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
  const list = useList(async query => {
    const { data, next } = await callPage('get', '/api/admin/logs', { query })
    return { data: data.logs, next }
  })
  return (
    <ListCard title={t('log.title')} area="log" search={t('log.search')} list={list}>
      {rows => <Table caption={t('log.title')} className="table-log" columns={columns()} rows={rows.map((e, i) => ({ ...e, at: `${e.timestamp} ${i}` }))} keyOf={e => e.at} />}
    </ListCard>
  )
}
