/*
 * keys.tsx - everybody's keys.
 */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { call, callPage } from '../../api/client.ts'
import type { AdminKey, NewKey } from '../../api/types.ts'
import { t } from '../../i18n/index.ts'
import { useAction, useResource } from '../../state/resource.ts'
import { endSession, keepToken, overview } from '../../state/session.ts'
import { Button, Field, Select } from '../../ui/controls.tsx'
import { Ago } from '../../ui/facts.tsx'
import { FaultNote } from '../../ui/fault.tsx'
import { Table, type Column } from '../../ui/table.tsx'
import { FormDialog, RenameDialog, RevokeDialog, RotateDialog, SecretDialog } from '../keys/dialogs.tsx'
import { ListCard, useList, useSettled } from './list.tsx'

type Open =
  | { what: 'create' }
  | { what: 'rename' | 'rotate' | 'revoke', key: AdminKey }
  | { what: 'secret', made: NewKey }

interface CreateProps { onMade: (made: NewKey) => void, onClose: () => void }

/* Of many users the first two hundred that the search finds are offered. */
function CreateKey({ onMade, onClose }: CreateProps): JSX.Element {
  const [search, setSearch] = useState(''), [chosen, setChosen] = useState(''), [label, setLabel] = useState('')
  const q = useSettled(search).trim()
  const users = useResource(() => call('get', '/api/admin/users', { query: { q: q || undefined, limit: 200 } }), [q], true)
  const found = users.data ?? []
  const user = found.some(u => u.id === chosen) ? chosen : found[0]?.id ?? ''
  const create = useAction(async () => {
    onMade(await call('post', '/api/admin/tokens', { body: { user_id: user, label: label.trim() || null } }))
  })
  return (
    <FormDialog title={t('create.title')} action={create} submit={t('create.submit')} onSubmit={() => void create.run()} onClose={onClose}>
      <Field label={t('users.search')} type="search" value={search} onInput={setSearch} maxLength={100} />
      <Select label={t('admin.user')} value={user} options={found.map(u => ({ value: u.id, label: u.email }))} onChange={setChosen} />
      {users.fault !== null && <FaultNote fault={users.fault} onRetry={users.reload} />}
      <Field label={t('key.name')} value={label} onInput={setLabel} maxLength={100} placeholder={t('create.name.example')} />
    </FormDialog>
  )
}

function columns(open: (o: Open) => void): Column<AdminKey>[] {
  return [
    { label: t('admin.user'), cell: k => <span class="cut" title={k.user_email}>{k.user_email}</span> },
    { label: t('keys.name'), cell: k => k.label },
    { label: t('keys.key'), cell: k => <code>{k.prefix}...</code> },
    {
      label: t('users.status'),
      cell: k => <span class={`chip ${k.status === 'active' ? 'chip-good' : 'chip-bad'}`}>{t(k.status === 'active' ? 'status.active' : 'status.revoked')}</span>
    },
    { label: t('keys.created'), cell: k => <Ago iso={k.created_at} /> },
    { label: t('keys.used'), cell: k => k.last_used_at === null ? t('never') : <Ago iso={k.last_used_at} /> },
    {
      label: t('keys.actions'),
      actions: true,
      cell: k => k.status === 'active' && (
        <span class="row-actions">
          <Button kind="quiet" icon="edit" label={t('keys.rename', { label: k.label })} onClick={() => open({ what: 'rename', key: k })} />
          <Button kind="quiet" icon="rotate" label={t('keys.rotate', { label: k.label })} onClick={() => open({ what: 'rotate', key: k })} />
          <Button kind="quiet" icon="trash" label={t('keys.revoke', { label: k.label })} onClick={() => open({ what: 'revoke', key: k })} />
        </span>
      )
    }
  ]
}

export function AdminKeysTab(): JSX.Element {
  const list = useList(query => callPage('get', '/api/admin/tokens', { query }))
  const [open, setOpen] = useState<Open | null>(null)
  const ownId = overview.value?.key.id
  const close = () => setOpen(null)
  const done = () => {
    setOpen(null)
    list.page.reload()
  }
  const rotated = (old: AdminKey) => (made: NewKey) => {
    if (old.id === ownId) keepToken(made.key)
    setOpen({ what: 'secret', made })
    list.page.reload()
  }
  const path = (id: string) => ({ key_id: id })
  return (
    <>
      <ListCard
        title={t('admin.keys')} area="admin-keys" search={t('admin.keys.search')} list={list}
        aside={<Button kind="primary" icon="plus" onClick={() => setOpen({ what: 'create' })}>{t('create.title')}</Button>}
      >
        {rows => <Table caption={t('admin.keys')} columns={columns(setOpen)} rows={rows} keyOf={k => k.id} />}
      </ListCard>
      {open?.what === 'create' && <CreateKey onMade={made => { setOpen({ what: 'secret', made }); list.page.reload() }} onClose={close} />}
      {open?.what === 'secret' && <SecretDialog made={open.made} onClose={done} />}
      {open?.what === 'rename' && (
        <RenameDialog of={open.key} onDone={done} onClose={close} act={(id, label) => call('patch', '/api/admin/tokens/{key_id}', { path: path(id), body: { label } })} />
      )}
      {open?.what === 'rotate' && (
        <RotateDialog
          of={open.key} onDone={rotated(open.key)} onClose={close}
          act={(id, grace_seconds) => call('post', '/api/admin/tokens/{key_id}/rotate', { path: path(id), body: { grace_seconds } })}
        />
      )}
      {open?.what === 'revoke' && (
        <RevokeDialog
          of={open.key} own={open.key.id === ownId} onDone={() => open.key.id === ownId ? endSession() : done()} onClose={close}
          act={id => call('delete', '/api/admin/tokens/{key_id}', { path: path(id) })}
        />
      )}
    </>
  )
}
