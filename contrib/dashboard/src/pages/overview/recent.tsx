/*
 * recent.tsx - the last requests, each with a panel of what is known of it.
 */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { LiveRequest, RequestLog } from '../../api/types.ts'
import { counted, t } from '../../i18n/index.ts'
import { compact, integer, usd, utcTime } from '../../lib/format.ts'
import { lang } from '../../state/prefs.ts'
import type { Resource } from '../../state/resource.ts'
import { CopyButton } from '../../ui/controls.tsx'
import { Dialog } from '../../ui/dialog.tsx'
import { Ago, Fact, Facts } from '../../ui/facts.tsx'
import { Icon } from '../../ui/icons.tsx'
import { Table, TablePlaceholder, type Column } from '../../ui/table.tsx'
import { Empty, Widget } from '../../ui/widget.tsx'
import { Explain } from '../keys/explain.tsx'
import { entries, type Entry, type LiveEntry } from './activity.ts'

const FIRST_ROWS = 12

function decisionWords(r: LiveRequest): string {
  return r.code === 'ok' ? t('recent.let_in') : t('recent.refused', { reason: t(`reason.${r.reason ?? 'other'}`) })
}

function title(e: Entry): string {
  return 'log' in e ? e.log.model : t(`door.${e.request.door}`)
}

function Decision({ of }: { of: LiveRequest }): JSX.Element {
  return <span class={`chip ${of.code === 'ok' ? 'chip-good' : 'chip-bad'}`}>{decisionWords(of)}</span>
}

function columns(open: (e: Entry) => void): Column<Entry>[] {
  return [
    {
      label: t('recent.model'),
      cell: e => (
        <button type="button" class="row-button" aria-label={t('recent.details', { model: title(e) })} onClick={() => open(e)}>
          <span class="cut">{title(e)}</span><Icon name="chevron" />
        </button>
      )
    },
    {
      label: t('recent.tokens'),
      right: true,
      cell: e => 'log' in e
        ? <span class="tabular">{compact(e.log.prompt_tokens, lang.value)} / {compact(e.log.completion_tokens, lang.value)}</span>
        : <Decision of={e.request} />
    },
    {
      label: t('recent.cost'),
      right: true,
      cell: e => <span class="tabular">{'log' in e ? usd(e.log.cost_usd, lang.value, 3) : counted('credits', e.request.credits)}</span>
    },
    { label: t('recent.time'), right: true, cell: e => <Ago iso={e.created_at} /> }
  ]
}

function LogFacts({ log }: { log: RequestLog }): JSX.Element {
  return (
    <Facts>
      <Fact term={t('recent.model')}>{log.model}</Fact>
      <Fact term={t('recent.tokens_in')}>{integer(log.prompt_tokens, lang.value)}</Fact>
      <Fact term={t('recent.tokens_out')}>{integer(log.completion_tokens, lang.value)}</Fact>
      <Fact term={t('recent.charged')}>{integer(log.credits, lang.value)}</Fact>
      <Fact term={t('recent.cost')}>{usd(log.cost_usd, lang.value, 6)}</Fact>
      <Fact term={t('recent.time')}>{utcTime(log.created_at)}</Fact>
      <Fact term={t('recent.day')}>{log.date}</Fact>
      <Fact term={t('recent.id')}><code>{log.id}</code></Fact>
    </Facts>
  )
}

function LiveFacts({ request }: { request: LiveRequest }): JSX.Element {
  return (
    <>
      <Facts>
        <Fact term={t('recent.door')}>{t(`door.${request.door}`)}</Fact>
        <Fact term={t('recent.decision')}><Decision of={request} /></Fact>
        <Fact term={t('recent.status')}>{request.status}</Fact>
        <Fact term={t('recent.charged')}>{integer(request.credits, lang.value)}</Fact>
        <Fact term={t('recent.time')}>{utcTime(request.created_at)}</Fact>
        <Fact term={t('recent.request_id')}>
          <span class="with-copy"><code>{request.request_id}</code><CopyButton bare text={request.request_id} label={t('recent.copy_id')} /></span>
        </Fact>
      </Facts>
      <Explain requestId={request.request_id} />
    </>
  )
}

interface RecentProps { of: Resource<RequestLog[]>, live: readonly LiveEntry[], most: number }

export function RecentActivity({ of, live, most }: RecentProps): JSX.Element {
  const [open, setOpen] = useState<Entry | null>(null)
  const [all, setAll] = useState(false)
  return (
    <Widget title={t('recent.title')} area="recent" of={of} placeholder={<TablePlaceholder rows={FIRST_ROWS} />}>
      {logs => {
        const list = entries(logs, live, most)
        if (list.length === 0) return <Empty>{t('recent.empty')}</Empty>
        return (
          <>
            <Table caption={t('recent.title')} className="table-recent" columns={columns(setOpen)} rows={all ? list : list.slice(0, FIRST_ROWS)} keyOf={e => e.id} />
            {!all && list.length > FIRST_ROWS && (
              <button type="button" class="button button-quiet wide" onClick={() => setAll(true)}>{t('recent.more', { n: list.length })}</button>
            )}
            {open !== null && (
              <Dialog title={t('recent.panel')} panel onClose={() => setOpen(null)}>
                {'log' in open ? <LogFacts log={open.log} /> : <LiveFacts request={open.request} />}
              </Dialog>
            )}
          </>
        )
      }}
    </Widget>
  )
}
