/*
 * limits.tsx - named rate limits, as the gate is asked for them.
 */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { call } from '../../api/client.ts'
import type { Limit } from '../../api/types.ts'
import { t } from '../../i18n/index.ts'
import { integer } from '../../lib/format.ts'
import { lang } from '../../state/prefs.ts'
import { useAction, useResource } from '../../state/resource.ts'
import { Button, Field, Select } from '../../ui/controls.tsx'
import { Table, TablePlaceholder, type Column } from '../../ui/table.tsx'
import { Empty, Widget } from '../../ui/widget.tsx'
import { FormDialog } from '../keys/dialogs.tsx'

type Scope = Limit['scope']
type Algorithm = Limit['algorithm']
type Mode = 'enforce' | 'shadow'
type Open = { what: 'form', limit: Limit | null } | { what: 'delete', limit: Limit }

const SCOPES: readonly Scope[] = ['key', 'user', 'address']
const ALGORITHMS: readonly Algorithm[] = ['sliding', 'gcra']

interface LimitProps { limit: Limit | null, onDone: () => void, onClose: () => void }

function LimitDialog({ limit, onDone, onClose }: LimitProps): JSX.Element {
  const [name, setName] = useState(limit?.name ?? ''), [scope, setScope] = useState<Scope>(limit?.scope ?? 'key')
  const [count, setCount] = useState(limit === null ? '' : String(limit.count))
  const [seconds, setSeconds] = useState(limit === null ? '60' : String(limit.window_ms / 1000))
  const [algorithm, setAlgorithm] = useState<Algorithm>(limit?.algorithm ?? 'sliding')
  const [burst, setBurst] = useState(String(limit?.burst || 1))
  const [mode, setMode] = useState<Mode>(limit?.shadow ? 'shadow' : 'enforce')
  const save = useAction(async () => {
    const body = {
      count: Number(count), window_ms: Math.round(Number(seconds) * 1000), algorithm, shadow: mode === 'shadow',
      ...(algorithm === 'gcra' ? { burst: Number(burst) } : {})
    }
    if (limit === null) await call('post', '/api/admin/limits', { body: { ...body, name: name.trim(), scope } })
    else await call('patch', '/api/admin/limits/{limit_id}', { path: { limit_id: limit.id }, body })
    onDone()
  })
  const modes: { value: Mode, label: string }[] = [
    { value: 'enforce', label: t('limits.enforce') }, { value: 'shadow', label: t('limits.shadow') }
  ]
  return (
    <FormDialog
      title={t(limit === null ? 'limits.new' : 'limits.edit')} submit={t(limit === null ? 'limits.create' : 'save')}
      action={save} onSubmit={() => void save.run()} onClose={onClose}
    >
      <div class="form-pair">
        <Field label={t('key.name')} value={name} onInput={setName} required maxLength={40} disabled={limit !== null} mono autoFocus={limit === null} />
        <Select label={t('limits.scope')} value={scope} disabled={limit !== null} options={SCOPES.map(value => ({ value, label: t(`limits.scope.${value}`) }))} onChange={setScope} />
      </div>
      <div class="form-pair">
        <Field label={t('limits.count')} type="number" min={0} value={count} onInput={setCount} required />
        <Field label={t('limits.window')} type="number" min={1} value={seconds} onInput={setSeconds} required />
      </div>
      <div class="form-pair">
        <Select label={t('limits.algorithm')} value={algorithm} options={ALGORITHMS.map(value => ({ value, label: t(`limits.${value}`) }))} onChange={setAlgorithm} />
        {algorithm === 'gcra' && <Field label={t('limits.burst')} type="number" min={1} value={burst} onInput={setBurst} required />}
      </div>
      <Select<Mode> label={t('limits.mode')} value={mode} options={modes} onChange={setMode} />
    </FormDialog>
  )
}

interface DeleteProps { limit: Limit, onDone: () => void, onClose: () => void }

function DeleteDialog({ limit, onDone, onClose }: DeleteProps): JSX.Element {
  const remove = useAction(async () => {
    await call('delete', '/api/admin/limits/{limit_id}', { path: { limit_id: limit.id } })
    onDone()
  })
  return (
    <FormDialog title={t('limits.delete')} action={remove} submit={t('limits.delete')} danger onSubmit={() => void remove.run()} onClose={onClose}>
      <p>{t('limits.delete.words', { name: limit.name })}</p>
    </FormDialog>
  )
}

function columns(open: (o: Open) => void): Column<Limit>[] {
  return [
    {
      label: t('key.name'),
      cell: l => <span class="key-name"><code>{l.name}</code>{l.shadow && <span class="chip chip-warn">{t('limits.shadow.chip')}</span>}</span>
    },
    {
      label: t('limits.rule'),
      cell: l => <span class="tabular">{t('limits.rule.words', { n: integer(l.count, lang.value), s: integer(l.window_ms / 1000, lang.value) })}</span>
    },
    { label: t('limits.scope'), cell: l => t(`limits.scope.${l.scope}`) },
    { label: t('limits.algorithm'), cell: l => l.algorithm === 'gcra' ? t('limits.gcra.burst', { n: l.burst }) : t('limits.sliding') },
    {
      label: t('keys.actions'),
      actions: true,
      cell: l => (
        <span class="row-actions">
          <Button kind="quiet" icon="edit" label={t('edit_what', { name: l.name })} onClick={() => open({ what: 'form', limit: l })} />
          <Button kind="quiet" icon="trash" label={t('delete_what', { name: l.name })} onClick={() => open({ what: 'delete', limit: l })} />
        </span>
      )
    }
  ]
}

export function LimitsTab(): JSX.Element {
  const limits = useResource(() => call('get', '/api/admin/limits'), [], true)
  const [open, setOpen] = useState<Open | null>(null)
  const close = () => setOpen(null)
  const done = () => {
    setOpen(null)
    limits.reload()
  }
  return (
    <>
      <Widget
        title={t('limits.title')} area="limits" of={limits} placeholder={<TablePlaceholder rows={4} />}
        aside={<Button kind="primary" icon="plus" onClick={() => setOpen({ what: 'form', limit: null })}>{t('limits.new')}</Button>}
      >
        {rows => rows.length === 0
          ? <Empty>{t('limits.empty')}</Empty>
          : <Table caption={t('limits.title')} columns={columns(setOpen)} rows={rows} keyOf={l => l.id} />}
      </Widget>
      {open?.what === 'form' && <LimitDialog limit={open.limit} onDone={done} onClose={close} />}
      {open?.what === 'delete' && <DeleteDialog limit={open.limit} onDone={done} onClose={close} />}
    </>
  )
}
