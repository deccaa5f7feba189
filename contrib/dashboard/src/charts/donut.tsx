/*
 * donut.tsx - shares of a whole, with a legend that names them.
 */
import { arc, pie } from 'd3-shape'
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { DataTable } from './frame.tsx'

export interface Part { name: string, value: number, words: readonly string[], share: string }

interface DonutProps {
  caption: string
  summary: string
  head: readonly string[]
  parts: readonly Part[]
  total: string
  totalLabel: string
}

const SIZE = 168, OUTER = 80, INNER = 56
const COLOURS = 8 // classes slice-0 to slice-7; the ninth is "other"

export function Donut({ caption, summary, head, parts, total, totalLabel }: DonutProps): JSX.Element {
  const [at, setAt] = useState<number | null>(null)
  const colour = (i: number) => i < COLOURS ? `slice-${i}` : 'slice-other'
  const arcs = pie<Part>().sort(null).value(p => p.value)(parts as Part[])
  // one slice alone would end at a gap that separates it from itself
  const gap = arcs.filter(a => a.value > 0).length > 1 ? 0.02 : 0
  const shape = arc<(typeof arcs)[number]>().innerRadius(INNER).outerRadius(OUTER).padAngle(gap).cornerRadius(3)
  const shown = at !== null ? parts[at] : undefined
  return (
    <div class="chart chart-donut">
      <svg role="img" aria-label={summary} width={SIZE} height={SIZE} viewBox={`${-SIZE / 2} ${-SIZE / 2} ${SIZE} ${SIZE}`}>
        {arcs.map((a, i) => (
          <path
            key={i} class={`slice ${colour(i)}${at !== null && at !== i ? ' slice-off' : ''}`} d={shape(a) ?? ''}
            onPointerEnter={() => setAt(i)} onPointerLeave={() => setAt(null)}
          />
        ))}
        <text class="donut-total" text-anchor="middle" y="-2">{shown ? shown.words[1] : total}</text>
        <text class="donut-label" text-anchor="middle" y="18">{shown ? shown.share : totalLabel}</text>
      </svg>
      <ul class="legend" aria-hidden="true">
        {parts.map((p, i) => (
          <li key={i} onPointerEnter={() => setAt(i)} onPointerLeave={() => setAt(null)}>
            <span class={`swatch ${colour(i)}`} />
            <span class="legend-name" title={p.name}>{p.name}</span>
            <span class="legend-share">{p.share}</span>
          </li>
        ))}
      </ul>
      <DataTable caption={caption} head={head} rows={parts.map(p => p.words)} />
    </div>
  )
}
