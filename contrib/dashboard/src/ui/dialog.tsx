/*
 * dialog.tsx - the browser's own modal dialog: it keeps the focus, closes on
 * Escape, and gives the focus back.
 */
import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useId, useRef } from 'preact/hooks'
import { t } from '../i18n/index.ts'
import { Button } from './controls.tsx'

interface DialogProps {
  title: string
  onClose: () => void
  children: ComponentChildren
  /** From the side, for details; else in the middle. */
  panel?: boolean
  /** What cannot be shown again is not closed by a click beside it. */
  sticky?: boolean
}

export function Dialog({ title, onClose, children, panel, sticky }: DialogProps): JSX.Element {
  const ref = useRef<HTMLDialogElement>(null)
  const id = useId()
  useEffect(() => {
    const before = document.activeElement
    ref.current?.showModal()
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus()
    }
  }, [])
  return (
    <dialog
      ref={ref}
      class={panel ? 'dialog dialog-panel' : 'dialog'}
      aria-labelledby={id}
      onClose={onClose}
      onClick={e => { if (e.target === ref.current && !sticky) ref.current?.close() }}
    >
      <div class="dialog-body">
        <div class="dialog-head">
          <h2 id={id}>{title}</h2>
          {!sticky && <Button kind="quiet" icon="close" label={t('close')} onClick={() => ref.current?.close()} />}
        </div>
        {children}
      </div>
    </dialog>
  )
}
