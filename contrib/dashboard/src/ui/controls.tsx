/*
 * controls.tsx - buttons, fields, choices.
 */
import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useId, useRef, useState } from 'preact/hooks'
import { t } from '../i18n/index.ts'
import { Icon, type IconName } from './icons.tsx'

interface ButtonProps {
  children?: ComponentChildren
  kind?: 'primary' | 'plain' | 'danger' | 'quiet'
  icon?: IconName
  /** For buttons that show an icon only. */
  label?: string
  busy?: boolean
  disabled?: boolean
  submit?: boolean
  testId?: string
  onClick?: (e: MouseEvent) => void
}

export function Button(p: ButtonProps): JSX.Element {
  const bare = p.children === undefined
  return (
    <button
      type={p.submit ? 'submit' : 'button'}
      class={`button button-${p.kind ?? 'plain'}${bare ? ' button-icon' : ''}`}
      disabled={p.disabled || p.busy}
      aria-busy={p.busy || undefined}
      aria-label={p.label}
      title={bare ? p.label : undefined}
      data-testid={p.testId}
      onClick={p.onClick}
    >
      {p.icon !== undefined && <Icon name={p.icon} />}
      {p.children}
    </button>
  )
}

interface CopyProps { text: string | (() => string), label: string, name?: string, icon?: IconName, bare?: boolean, kind?: 'primary' | 'plain' | 'quiet' }

/** Two seconds of a check mark say that it worked. */
export function CopyButton({ text, label, icon = 'copy', bare, kind }: CopyProps): JSX.Element {
  const [state, setState] = useState<'idle' | 'copied' | 'failed'>('idle')
  const timer = useRef(0)
  useEffect(() => () => clearTimeout(timer.current), [])

  const copy = async () => {
    const done = await copyText(typeof text === 'string' ? text : text())
    setState(done ? 'copied' : 'failed')
    clearTimeout(timer.current)
    timer.current = window.setTimeout(() => setState('idle'), 2000)
  }
  const words = state === 'copied' ? t('copy.done') : state === 'failed' ? t('copy.failed') : label
  return (
    <>
      <Button icon={state === 'copied' ? 'check' : icon} kind={kind ?? (bare ? 'quiet' : 'plain')} label={bare ? words : undefined} onClick={() => void copy()}>
        {bare ? undefined : words}
      </Button>
      <span class="hidden" role="status">{state === 'idle' ? '' : words}</span>
    </>
  )
}

async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copyBySelection(text) // plain http on another host has no clipboard API
  }
}

function copyBySelection(text: string): boolean {
  const area = document.createElement('textarea')
  const dialog = document.querySelector('dialog[open]') ?? document.body
  const before = document.activeElement
  area.value = text
  area.className = 'hidden'
  dialog.append(area)
  area.select()
  const done = document.execCommand('copy')
  area.remove()
  if (before instanceof HTMLElement) before.focus()
  return done
}

interface FieldProps {
  label: string
  value: string
  onInput: (value: string) => void
  type?: 'text' | 'password' | 'email' | 'number' | 'datetime-local' | 'search'
  hint?: string
  error?: string | null
  required?: boolean
  min?: number | string
  max?: number | string
  maxLength?: number
  placeholder?: string
  readOnly?: boolean
  mono?: boolean
  autoFocus?: boolean
  autoComplete?: string
  disabled?: boolean
}

export function Field(p: FieldProps): JSX.Element {
  const id = useId()
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => {
    if (p.autoFocus) input.current?.focus()
  }, [])
  const described = [p.hint && `${id}-hint`, p.error && `${id}-error`].filter(Boolean).join(' ')
  return (
    <div class="field">
      <label for={id}>{p.label}</label>
      <input
        ref={input}
        id={id}
        type={(p.type ?? 'text') as 'text' /* the typings want one at a time */}
        value={p.value}
        class={p.mono ? 'mono' : undefined}
        required={p.required}
        readOnly={p.readOnly}
        disabled={p.disabled}
        min={p.min}
        max={p.max}
        maxLength={p.maxLength}
        placeholder={p.placeholder}
        autocomplete={p.autoComplete ?? 'off'}
        autocapitalize="off"
        spellcheck={false}
        aria-invalid={p.error ? true : undefined}
        aria-describedby={described || undefined}
        onInput={e => p.onInput(e.currentTarget.value)}
        onFocus={e => { if (p.readOnly) e.currentTarget.select() }}
      />
      {p.hint && <p class="hint" id={`${id}-hint`}>{p.hint}</p>}
      {p.error && <p class="field-error" id={`${id}-error`} role="alert">{p.error}</p>}
    </div>
  )
}

export interface Option<V extends string> { value: V, label: string }

interface SelectProps<V extends string> {
  label: string
  value: V
  options: readonly Option<V>[]
  onChange: (value: V) => void
  bare?: boolean
  disabled?: boolean
}

export function Select<V extends string>(p: SelectProps<V>): JSX.Element {
  const id = useId()
  return (
    <div class={p.bare ? 'field field-bare' : 'field'}>
      <label for={id} class={p.bare ? 'hidden' : undefined}>{p.label}</label>
      <select id={id} value={p.value} disabled={p.disabled} onChange={e => p.onChange(e.currentTarget.value as V)}>
        {p.options.map(o => <option key={o.value} value={o.value} selected={o.value === p.value}>{o.label}</option>)}
      </select>
    </div>
  )
}

interface RadiosProps<V extends string> {
  legend: string
  value: V
  options: readonly Option<V>[]
  onChange: (value: V) => void
  showLegend?: boolean
  small?: boolean
  /** The short form on the picture; the label stays the name. */
  shown?: (option: Option<V>) => string
}

/** Radio buttons that look like one bar; arrows move as in any radio group. */
export function Radios<V extends string>(p: RadiosProps<V>): JSX.Element {
  const name = useId()
  return (
    <fieldset class={`radios${p.small ? ' radios-small' : ''}`}>
      <legend class={p.showLegend ? undefined : 'hidden'}>{p.legend}</legend>
      <div class="radios-bar">
        {p.options.map(o => (
          <label key={o.value} class={o.value === p.value ? 'radio radio-on' : 'radio'}>
            <input type="radio" name={name} value={o.value} aria-label={o.label} checked={o.value === p.value} onChange={() => p.onChange(o.value)} />
            <span aria-hidden="true">{p.shown?.(o) ?? o.label}</span>
          </label>
        ))}
      </div>
    </fieldset>
  )
}
