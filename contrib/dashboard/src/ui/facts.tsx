/*
 * facts.tsx - terms and what they are, and times as "5 minutes ago".
 */
import type { ComponentChildren, JSX } from 'preact'
import { relative, utcTime } from '../lib/format.ts'
import { useSeconds } from '../state/clock.ts'
import { lang } from '../state/prefs.ts'

export function Facts({ children }: { children: ComponentChildren }): JSX.Element {
  return <dl class="facts">{children}</dl>
}

export function Fact({ term, children }: { term: string, children: ComponentChildren }): JSX.Element {
  return <div class="fact"><dt>{term}</dt><dd>{children}</dd></div>
}

export function Tiles({ children }: { children: ComponentChildren }): JSX.Element {
  return <dl class="tiles">{children}</dl>
}

export function Tile({ term, children }: { term: string, children: ComponentChildren }): JSX.Element {
  return <div class="tile"><dt>{term}</dt><dd>{children}</dd></div>
}

export function Ago({ iso }: { iso: string }): JSX.Element {
  return <time dateTime={iso} title={utcTime(iso)}>{relative(iso, useSeconds(), lang.value)}</time>
}
