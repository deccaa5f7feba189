/*
 * keys.tsx - one's own keys, through their whole life.
 */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { call } from '../../api/client.ts'
import type { Key, NewKey } from '../../api/types.ts'
import { t } from '../../i18n/index.ts'
import { integer } from '../../lib/format.ts'
import { useResource } from '../../state/resource.ts'
import { lang } from '../../state/prefs.ts'
import { endSession, keepToken, overview, token } from '../../state/session.ts'
import { Button, CopyButton } from '../../ui/controls.tsx'
import { Ago } from '../../ui/facts.tsx'
import { Table, TablePlaceholder, type Column } from '../../ui/table.tsx'
import { Empty, Widget } from '../../ui/widget.tsx'
import { CreateDialog } from '../keys/create.tsx'
import { RenameDialog, RevokeDialog, RotateDialog, SecretDialog } from '../keys/dialogs.tsx'
import { ExplainCard } from '../keys/explain.tsx'

type Open =
  | { what: 'create' }
  | { what: 'rename' | 'rotate' | 'revoke', key: Key }
  | { what: 'secret', made: NewKey }

function Bounds({ of }: { of: Key }): JSX.Element {
  const chips = [
    of.rate_limit !== null && t('bounds.rate', { n: integer(of.rate_limit, lang.value) }),
    of.daily_credit_limit !== null && t('bounds.credits', { n: integer(of.daily_credit_limit, lang.value) }),
    of.scopes.length > 0 && of.scopes.join(', '),
    of.allowed_ips.length > 0 && of.allowed_ips.join(', ')
  ].filter(c => c !== false)
  if (chips.length === 0) return <span class="muted">{t('bounds.none')}</span>
  return <span class="chips">{chips.map(c => <span class="chip" key={c}>{c}</span>)}</span>
}

function columns(ownId: string | undefined, open: (o: Open) => void): Column<Key>[] {
  return [
    {
      label: t('keys.name'),
      cell: k => <span class="key-name">{k.label}{k.id === ownId && <span class="chip chip-accent">{t('keys.own')}</span>}</span>
    },
    {
      label: t('keys.key'),
      cell: k => (
        <span class="with-copy">
          <code>{k.prefix}...</code>
          <CopyButton bare text={k.prefix} label={t('keys.copy', { label: k.label })} />
        </span>
      )
    },
    { label: t('keys.created'), cell: k => <Ago iso={k.created_at} /> },
    { label: t('keys.used'), cell: k => k.last_used_at === null ? t('never') : <Ago iso={k.last_used_at} /> },
    { label: t('keys.expires'), cell: k => k.expires_at === null ? t('expiry.never') : <Ago iso={k.expires_at} /> },
    { label: t('keys.limits'), cell: k => <Bounds of={k} /> },
    {
      label: t('keys.actions'),
      actions: true,
      cell: k => (
        <span class="row-actions">
          <Button kind="quiet" icon="edit" label={t('keys.rename', { label: k.label })} onClick={() => open({ what: 'rename', key: k })} />
          <Button kind="quiet" icon="rotate" label={t('keys.rotate', { label: k.label })} onClick={() => open({ what: 'rotate', key: k })} />
          <Button kind="quiet" icon="trash" label={t('keys.revoke', { label: k.label })} onClick={() => open({ what: 'revoke', key: k })} />
        </span>
      )
    }
  ]
}

export function KeysTab(): JSX.Element {
  const keys = useResource(() => call('get', '/api/keys'), [], true)
  const [open, setOpen] = useState<Open | null>(null)
  const ownId = overview.value?.key.id
  const close = () => setOpen(null)
  const closeAndLoad = () => {
    setOpen(null)
    keys.reload()
  }

  /* The key that is logged in was replaced: its successor goes on. */
  const rotated = (old: Key) => (made: NewKey) => {
    if (old.id === ownId) keepToken(made.key)
    setOpen({ what: 'secret', made })
    keys.update(list => list.map(k => k.id === old.id
      ? { ...k, id: made.id, prefix: made.prefix, created_at: new Date().toISOString(), last_used_at: null }
      : k))
  }
  const revoked = (old: Key) => () => {
    if (old.id === ownId) endSession()
    else closeAndLoad()
  }
  return (
    <>
      <Widget
        title={t('keys.title')} area="keys" of={keys} placeholder={<TablePlaceholder rows={4} />}
        aside={<Button kind="primary" icon="plus" onClick={() => setOpen({ what: 'create' })}>{t('create.title')}</Button>}
      >
        {list => list.length === 0
          ? <Empty>{t('keys.empty')}</Empty>
          : <Table caption={t('keys.title')} className="table-keys" columns={columns(ownId, setOpen)} rows={list} keyOf={k => k.id} />}
      </Widget>
      {!keys.loading || keys.data !== undefined ? <ExplainCard /> : null /* below what has its size by then */}
      {open?.what === 'create' && <CreateDialog onMade={made => { setOpen({ what: 'secret', made }); keys.reload() }} onClose={close} />}
      {open?.what === 'secret' && <SecretDialog made={open.made} onClose={closeAndLoad} />}
      {open?.what === 'rename' && (
        <RenameDialog of={open.key} act={(id, label) => call('patch', '/api/keys/{key_id}', { path: { key_id: id }, body: { label } })} onDone={closeAndLoad} onClose={close} />
      )}
      {open?.what === 'rotate' && (
        <RotateDialog
          of={open.key} onDone={rotated(open.key)} onClose={close}
          act={(id, grace_seconds) => call('post', '/api/keys/{key_id}/rotate', { path: { key_id: id }, body: { grace_seconds } })}
        />
      )}
      {open?.what === 'revoke' && token.value !== null && (
        <RevokeDialog
          of={open.key} own={open.key.id === ownId} onDone={revoked(open.key)} onClose={close}
          act={id => call('delete', '/api/keys/{key_id}', { path: { key_id: id } })}
        />
      )}
    </>
  )
}
