/*
 * fault.tsx - what a failed call tells people, and what they can do.
 */
import type { JSX } from 'preact'
import type { Fault } from '../api/fault.ts'
import { t } from '../i18n/index.ts'
import { clock } from '../lib/format.ts'
import { useSeconds } from '../state/clock.ts'
import { limitedUntilMs } from '../state/session.ts'
import { Button } from './controls.tsx'
import { Icon } from './icons.tsx'

export function faultWords(fault: Fault): string {
  switch (fault.kind) {
    case 'network': return t('fault.network')
    case 'server': return t('fault.server')
    case 'rate': return t('fault.rate')
    case 'quota': return t('fault.quota')
    case 'unauthorized': return t('fault.unauthorized')
    case 'forbidden': return /suspended/i.test(fault.message) ? t('fault.suspended') : fault.message
    default: return fault.message
  }
}

/** As long as a limit is counted down; not in the alert, which would be read
 * out each second. */
function LimitClock(): JSX.Element {
  const left = (limitedUntilMs.value - useSeconds()) / 1000
  return <span class="tabular">{left > 0 ? t('banner.rate.left', { time: clock(left) }) : ''}</span>
}

interface NoteProps {
  fault: Fault
  onRetry?: (() => void) | undefined
  /** Where the banner above the page tells the rest. */
  brief?: boolean
}

/** In a widget or a form. */
export function FaultNote({ fault, onRetry, brief }: NoteProps): JSX.Element {
  const short = brief && (fault.kind === 'network' || fault.kind === 'server')
  return (
    <div class="fault">
      <Icon name="warn" />
      <p role="alert">{short ? t('fault.brief') : faultWords(fault)}</p>
      {fault.kind === 'rate' && <LimitClock />}
      {onRetry !== undefined && fault.kind !== 'rate' && <Button onClick={onRetry}>{t('retry')}</Button>}
    </div>
  )
}
