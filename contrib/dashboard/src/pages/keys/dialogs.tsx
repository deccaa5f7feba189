/*
 * dialogs.tsx - what is done to a key, one's own or, for admins, anybody's.
 */
import type { ComponentChildren, JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { NewKey } from '../../api/types.ts'
import { t } from '../../i18n/index.ts'
import { curlLine } from '../../lib/token.ts'
import { type Action, useAction } from '../../state/resource.ts'
import { Button, CopyButton, Field, Select } from '../../ui/controls.tsx'
import { Dialog } from '../../ui/dialog.tsx'
import { FaultNote } from '../../ui/fault.tsx'

export interface KeyName { id: string, label: string, prefix: string }

interface FormProps<A extends unknown[]> {
  title: string
  action: Action<A>
  submit: string
  danger?: boolean
  onSubmit: () => void
  onClose: () => void
  children: ComponentChildren
}

/** A dialog that sends something: its fields, what went wrong, two buttons. */
export function FormDialog<A extends unknown[]>(p: FormProps<A>): JSX.Element {
  const submit = (e: SubmitEvent) => {
    e.preventDefault()
    p.onSubmit()
  }
  return (
    <Dialog title={p.title} onClose={p.onClose}>
      <form class="form" onSubmit={submit}>
        {p.children}
        {p.action.fault !== null && <FaultNote fault={p.action.fault} />}
        <div class="form-buttons">
          <Button onClick={p.onClose}>{t('cancel')}</Button>
          <Button submit kind={p.danger ? 'danger' : 'primary'} busy={p.action.busy}>{p.action.busy ? t('working') : p.submit}</Button>
        </div>
      </form>
    </Dialog>
  )
}

/** The only time that the secret is seen. */
export function SecretDialog({ made, onClose }: { made: NewKey, onClose: () => void }): JSX.Element {
  const curl = curlLine(location.origin, made.key)
  return (
    <Dialog title={t('secret.title')} onClose={onClose} sticky>
      <p class="note note-warn">{t('secret.words')}</p>
      <div class="with-copy">
        <Field label={t('secret.field')} value={made.key} onInput={() => {}} readOnly mono autoFocus />
        <CopyButton kind="primary" text={made.key} label={t('secret.copy')} />
      </div>
      <div class="with-copy">
        <Field label={t('secret.try')} value={curl} onInput={() => {}} readOnly mono hint={t('secret.try.hint')} />
        <CopyButton text={curl} label={t('secret.copy_curl')} />
      </div>
      <div class="form-buttons"><Button kind="primary" onClick={onClose}>{t('done')}</Button></div>
    </Dialog>
  )
}

interface ActProps<R> { of: KeyName, onDone: (result: R) => void, onClose: () => void }

interface RenameProps extends ActProps<void> { act: (id: string, label: string) => Promise<unknown> }

export function RenameDialog({ of, act, onDone, onClose }: RenameProps): JSX.Element {
  const [label, setLabel] = useState(of.label)
  const rename = useAction(async () => {
    await act(of.id, label.trim())
    onDone()
  })
  return (
    <FormDialog title={t('rename.title')} action={rename} submit={t('save')} onSubmit={() => void rename.run()} onClose={onClose}>
      <Field label={t('key.name')} value={label} onInput={setLabel} required maxLength={100} autoFocus />
    </FormDialog>
  )
}

type Grace = '0' | '300' | '3600' | '86400'

interface RotateProps extends ActProps<NewKey> { act: (id: string, graceSeconds: number) => Promise<NewKey> }

export function RotateDialog({ of, act, onDone, onClose }: RotateProps): JSX.Element {
  const [grace, setGrace] = useState<Grace>('0')
  const rotate = useAction(async () => onDone(await act(of.id, Number(grace))))
  const options = [
    { value: '0', label: t('rotate.none') }, { value: '300', label: t('rotate.5min') },
    { value: '3600', label: t('rotate.1h') }, { value: '86400', label: t('rotate.24h') }
  ] as const
  return (
    <FormDialog title={t('rotate.title')} action={rotate} submit={t('rotate.title')} onSubmit={() => void rotate.run()} onClose={onClose}>
      <p>{t('rotate.words', { label: of.label })}</p>
      <Select<Grace> label={t('rotate.grace')} value={grace} options={options} onChange={setGrace} />
    </FormDialog>
  )
}

interface RevokeProps extends ActProps<void> { act: (id: string) => Promise<unknown>, own: boolean }

export function RevokeDialog({ of, act, own, onDone, onClose }: RevokeProps): JSX.Element {
  const revoke = useAction(async () => {
    await act(of.id)
    onDone()
  })
  return (
    <FormDialog title={t('revoke.title')} action={revoke} submit={t('revoke.title')} danger onSubmit={() => void revoke.run()} onClose={onClose}>
      <p>{t('revoke.words', { label: of.label })}</p>
      {own && <p class="note note-warn">{t('revoke.own')}</p>}
    </FormDialog>
  )
}
