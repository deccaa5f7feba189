/*
 * create.tsx - a new key of one's own, with what bounds it.
 */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { call } from '../../api/client.ts'
import type { NewKey } from '../../api/types.ts'
import { t } from '../../i18n/index.ts'
import { EMPTY_FORM, type ExpiryChoice, keyBody, type KeyForm } from '../../lib/keyform.ts'
import { useAction } from '../../state/resource.ts'
import { Field, Select } from '../../ui/controls.tsx'
import { FormDialog } from './dialogs.tsx'

interface CreateProps { onMade: (made: NewKey) => void, onClose: () => void }

export function CreateDialog({ onMade, onClose }: CreateProps): JSX.Element {
  const [form, setForm] = useState<KeyForm>(EMPTY_FORM)
  const set = <K extends keyof KeyForm>(name: K) => (value: KeyForm[K]) => setForm(f => ({ ...f, [name]: value }))
  const create = useAction(async () => onMade(await call('post', '/api/keys', { body: keyBody(form, Date.now()) })))

  const expiries: { value: ExpiryChoice, label: string }[] = [
    { value: 'never', label: t('expiry.never') }, { value: '30', label: t('expiry.30') },
    { value: '90', label: t('expiry.90') }, { value: '365', label: t('expiry.365') },
    { value: 'date', label: t('expiry.date') }
  ]
  return (
    <FormDialog title={t('create.title')} action={create} submit={t('create.submit')} onSubmit={() => void create.run()} onClose={onClose}>
      <Field label={t('key.name')} value={form.label} onInput={set('label')} maxLength={100} placeholder={t('create.name.example')} autoFocus />
      <div class="form-pair">
        <Select label={t('create.expiry')} value={form.expiry} options={expiries} onChange={set('expiry')} />
        {form.expiry === 'date' && <Field label={t('create.date')} type="datetime-local" value={form.date} onInput={set('date')} required />}
      </div>
      <div class="form-pair">
        <Field label={t('create.rate')} type="number" min={1} value={form.rateLimit} onInput={set('rateLimit')} placeholder={t('create.usual')} />
        <Field label={t('create.credits')} type="number" min={0} value={form.dailyCredits} onInput={set('dailyCredits')} placeholder={t('create.plan')} />
      </div>
      <Field label={t('create.scopes')} value={form.scopes} onInput={set('scopes')} hint={t('create.scopes.hint')} placeholder="read, chat.write" mono />
      <Field label={t('create.addresses')} value={form.addresses} onInput={set('addresses')} hint={t('create.addresses.hint')} placeholder="203.0.113.7, 10.0.0.0/8" mono />
    </FormDialog>
  )
}
