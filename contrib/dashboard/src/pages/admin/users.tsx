/*
 * users.tsx - who may use the product, on which plan.
 */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { call, callPage } from '../../api/client.ts'
import type { AdminUser, Plan } from '../../api/types.ts'
import { t } from '../../i18n/index.ts'
import { useAction, useResource } from '../../state/resource.ts'
import { Button, Field, Select } from '../../ui/controls.tsx'
import { FaultNote } from '../../ui/fault.tsx'
import { Table, type Column } from '../../ui/table.tsx'
import { FormDialog } from '../keys/dialogs.tsx'
import { ListCard, useList } from './list.tsx'

type Open = { what: 'create' } | { what: 'status', user: AdminUser }

interface CreateProps { plans: readonly Plan[], onDone: () => void, onClose: () => void }

function CreateUser({ plans, onDone, onClose }: CreateProps): JSX.Element {
  const [email, setEmail] = useState(''), [name, setName] = useState('')
  const [plan, setPlan] = useState(plans[0]?.name ?? '')
  const create = useAction(async () => {
    await call('post', '/api/admin/users', { body: { email: email.trim(), name: name.trim() || null, plan } })
    onDone()
  })
  return (
    <FormDialog title={t('users.new')} action={create} submit={t('users.create')} onSubmit={() => void create.run()} onClose={onClose}>
      <Field label={t('users.email')} type="email" value={email} onInput={setEmail} required maxLength={255} autoFocus />
      <Field label={t('users.name')} value={name} onInput={setName} maxLength={255} />
      <Select label={t('users.plan')} value={plan} options={plans.map(p => ({ value: p.name, label: p.name }))} onChange={setPlan} />
    </FormDialog>
  )
}

interface StatusProps { user: AdminUser, onDone: () => void, onClose: () => void }

function ChangeStatus({ user, onDone, onClose }: StatusProps): JSX.Element {
  const suspend = user.status === 'active'
  const change = useAction(async () => {
    await call('patch', '/api/admin/users/{user_id}', { path: { user_id: user.id }, body: { status: suspend ? 'suspended' : 'active' } })
    onDone()
  })
  return (
    <FormDialog
      title={t(suspend ? 'users.suspend' : 'users.activate')} submit={t(suspend ? 'users.suspend' : 'users.activate')}
      action={change} danger={suspend} onSubmit={() => void change.run()} onClose={onClose}
    >
      <p>{t(suspend ? 'users.suspend.words' : 'users.activate.words', { email: user.email })}</p>
    </FormDialog>
  )
}

interface ColumnsInput {
  plans: readonly Plan[]
  busy: boolean
  setPlan: (user: AdminUser, plan: string) => void
  open: (o: Open) => void
}

function columns({ plans, busy, setPlan, open }: ColumnsInput): Column<AdminUser>[] {
  const names = (own: string) => [...new Set([own, ...plans.map(p => p.name)])].map(value => ({ value, label: value }))
  return [
    { label: t('users.email'), cell: u => <span class="cut" title={u.email}>{u.email}</span> },
    { label: t('users.name'), cell: u => u.name ?? '—' },
    {
      label: t('users.plan'),
      cell: u => <Select bare label={t('users.plan_of', { email: u.email })} value={u.plan} options={names(u.plan)} disabled={busy} onChange={plan => setPlan(u, plan)} />
    },
    {
      label: t('users.status'),
      cell: u => <span class={`chip ${u.status === 'active' ? 'chip-good' : 'chip-bad'}`}>{t(u.status === 'active' ? 'status.active' : 'status.suspended')}</span>
    },
    { label: t('users.keys'), right: true, cell: u => u.key_count },
    {
      label: t('keys.actions'),
      actions: true,
      cell: u => (
        <button
          type="button" class={`button ${u.status === 'active' ? 'button-quiet' : 'button-plain'}`}
          aria-label={t(u.status === 'active' ? 'users.suspend_who' : 'users.activate_who', { email: u.email })}
          onClick={() => open({ what: 'status', user: u })}
        >
          {t(u.status === 'active' ? 'users.suspend_short' : 'users.activate_short')}
        </button>
      )
    }
  ]
}

export function UsersTab(): JSX.Element {
  const list = useList(query => callPage('get', '/api/admin/users', { query }))
  const plans = useResource(() => call('get', '/api/admin/plans'), [])
  const [open, setOpen] = useState<Open | null>(null)
  const close = () => setOpen(null)
  const done = () => {
    setOpen(null)
    list.page.reload()
  }
  const changePlan = useAction(async (user: AdminUser, plan: string) => {
    await call('patch', '/api/admin/users/{user_id}', { path: { user_id: user.id }, body: { plan } })
    list.page.reload()
  })
  const input = {
    plans: plans.data ?? [], busy: changePlan.busy, open: setOpen,
    setPlan: (user: AdminUser, plan: string) => void changePlan.run(user, plan)
  }
  return (
    <>
      {changePlan.fault !== null && <FaultNote fault={changePlan.fault} />}
      <ListCard
        title={t('users.title')} area="users" search={t('users.search')} list={list}
        aside={<Button kind="primary" icon="plus" disabled={plans.data === undefined} onClick={() => setOpen({ what: 'create' })}>{t('users.new')}</Button>}
      >
        {rows => <Table caption={t('users.title')} columns={columns(input)} rows={rows} keyOf={u => u.id} />}
      </ListCard>
      {open?.what === 'create' && <CreateUser plans={plans.data ?? []} onDone={done} onClose={close} />}
      {open?.what === 'status' && <ChangeStatus user={open.user} onDone={done} onClose={close} />}
    </>
  )
}
