/*
 * plans.tsx - what is sold: credits a day for a price a month.
 */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { call } from '../../api/client.ts'
import type { Plan } from '../../api/types.ts'
import { t } from '../../i18n/index.ts'
import { integer, usd } from '../../lib/format.ts'
import { lang } from '../../state/prefs.ts'
import { useAction, useResource } from '../../state/resource.ts'
import { Button, Field } from '../../ui/controls.tsx'
import { Table, TablePlaceholder, type Column } from '../../ui/table.tsx'
import { Empty, Widget } from '../../ui/widget.tsx'
import { FormDialog } from '../keys/dialogs.tsx'

interface PlanProps { plan: Plan | null, onDone: () => void, onClose: () => void }

function PlanDialog({ plan, onDone, onClose }: PlanProps): JSX.Element {
  const [name, setName] = useState(plan?.name ?? '')
  const [credits, setCredits] = useState(plan === null ? '' : String(plan.daily_credit_limit))
  const [price, setPrice] = useState(plan === null ? '' : String(plan.price_cents / 100))
  const save = useAction(async () => {
    const body = { name: name.trim(), daily_credit_limit: Number(credits), price_cents: Math.round(Number(price) * 100) }
    if (plan === null) await call('post', '/api/admin/plans', { body })
    else await call('patch', '/api/admin/plans/{plan_id}', { path: { plan_id: plan.id }, body })
    onDone()
  })
  return (
    <FormDialog
      title={t(plan === null ? 'plans.new' : 'plans.edit')} submit={t(plan === null ? 'plans.create' : 'save')}
      action={save} onSubmit={() => void save.run()} onClose={onClose}
    >
      <Field label={t('key.name')} value={name} onInput={setName} required maxLength={50} autoFocus />
      <div class="form-pair">
        <Field label={t('plans.credits')} type="number" min={0} value={credits} onInput={setCredits} required />
        <Field label={t('plans.price')} type="number" min={0} value={price} onInput={setPrice} required />
      </div>
    </FormDialog>
  )
}

function columns(edit: (plan: Plan) => void): Column<Plan>[] {
  return [
    { label: t('key.name'), cell: p => <span class="badge">{p.name}</span> },
    { label: t('plans.credits'), right: true, cell: p => <span class="tabular">{integer(p.daily_credit_limit, lang.value)}</span> },
    { label: t('plans.price'), right: true, cell: p => <span class="tabular">{usd(p.price_cents / 100, lang.value, 2)}</span> },
    {
      label: t('keys.actions'),
      actions: true,
      cell: p => <Button kind="quiet" icon="edit" label={t('edit_what', { name: p.name })} onClick={() => edit(p)} />
    }
  ]
}

export function PlansTab(): JSX.Element {
  const plans = useResource(() => call('get', '/api/admin/plans'), [], true)
  const [open, setOpen] = useState<{ plan: Plan | null } | null>(null)
  const done = () => {
    setOpen(null)
    plans.reload()
  }
  return (
    <>
      <Widget
        title={t('plans.title')} area="plans" of={plans} placeholder={<TablePlaceholder rows={4} />}
        aside={<Button kind="primary" icon="plus" onClick={() => setOpen({ plan: null })}>{t('plans.new')}</Button>}
      >
        {rows => rows.length === 0
          ? <Empty>{t('list.empty')}</Empty>
          : <Table caption={t('plans.title')} columns={columns(plan => setOpen({ plan }))} rows={rows} keyOf={p => p.id} />}
      </Widget>
      {open !== null && <PlanDialog plan={open.plan} onDone={done} onClose={() => setOpen(null)} />}
    </>
  )
}
