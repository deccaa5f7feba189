/*
 * tabs.tsx - tabs that are fragments of the address, with arrow keys.
 */
import type { ComponentChildren, JSX } from 'preact'
import { useId, useRef } from 'preact/hooks'
import { goHash, hash } from '../state/router.ts'

export interface Tab { id: string, label: string, content: () => ComponentChildren }

const STEP: Record<string, (at: number, n: number) => number> = {
  ArrowRight: (at, n) => (at + 1) % n,
  ArrowLeft: (at, n) => (at + n - 1) % n,
  Home: () => 0,
  End: (_, n) => n - 1
}

export function Tabs({ label, tabs }: { label: string, tabs: readonly Tab[] }): JSX.Element {
  const id = useId()
  const list = useRef<HTMLDivElement>(null)
  const at = Math.max(0, tabs.findIndex(tab => tab.id === hash.value))
  const shown = tabs[at]!

  const onKeyDown = (e: KeyboardEvent) => {
    const step = STEP[e.key]
    if (step === undefined) return
    e.preventDefault()
    const to = step(at, tabs.length)
    goHash(tabs[to]!.id)
    list.current?.querySelectorAll<HTMLElement>('[role=tab]')[to]?.focus()
  }
  return (
    <>
      <div class="tabs" role="tablist" aria-label={label} ref={list} onKeyDown={onKeyDown}>
        {tabs.map((tab, i) => (
          <button
            key={tab.id} type="button" role="tab" class="tab" id={`${id}-${tab.id}`}
            aria-selected={i === at} aria-controls={`${id}-panel`} tabIndex={i === at ? 0 : -1}
            onClick={() => goHash(tab.id)}
          >
            {tab.label}
          </button>
        ))}
      </div>
      <div role="tabpanel" class="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-${shown.id}`} key={shown.id}>
        {shown.content()}
      </div>
    </>
  )
}
