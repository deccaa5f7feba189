/*
 * hours.tsx - 24 bars, a day's hours; height and shade by share of the most.
 */
import { max } from 'd3-array'
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { DataTable, Tooltip, useWidth } from './frame.tsx'

export interface Bar { hour: number, value: number, words: readonly string[] }

interface HoursProps { caption: string, summary: string, head: readonly string[], bars: readonly Bar[] }

const HEIGHT = 220, TOP = 10, BOTTOM = 26
const LABELLED = [0, 6, 12, 18, 23]
const SHADES = 5

export function HoursChart({ caption, summary, head, bars }: HoursProps): JSX.Element {
  const [ref, width] = useWidth()
  const [at, setAt] = useState<number | null>(null)
  const most = max(bars, b => b.value) || 1
  const slot = width / Math.max(1, bars.length)
  const thick = Math.max(2, Math.min(28, slot * 0.68))
  const tall = (value: number) => value > 0 ? Math.max(3, value / most * (HEIGHT - TOP - BOTTOM)) : 2
  const shade = (value: number) => value > 0 ? Math.ceil(value / most * SHADES) : 0
  const shown = at !== null ? bars[at] : undefined
  const point = (e: PointerEvent) => {
    const left = (e.currentTarget as Element).getBoundingClientRect().left
    setAt(Math.min(bars.length - 1, Math.max(0, Math.floor((e.clientX - left) / slot))))
  }
  return (
    <div class="chart chart-hours" ref={ref}>
      {width > 0 && (
        <svg role="img" aria-label={summary} width={width} height={HEIGHT} onPointerMove={point} onPointerLeave={() => setAt(null)}>
          {bars.map((b, i) => (
            <rect
              key={b.hour} class={`bar shade-${shade(b.value)}${at === i ? ' bar-on' : ''}`} rx={Math.min(4, thick / 2)}
              x={i * slot + (slot - thick) / 2} width={thick} y={HEIGHT - BOTTOM - tall(b.value)} height={tall(b.value)}
            />
          ))}
          {bars.map((b, i) => LABELLED.includes(b.hour) && (
            <text key={b.hour} class="axis" x={(i + 0.5) * slot} y={HEIGHT - 8} text-anchor="middle">{b.hour}</text>
          ))}
        </svg>
      )}
      {at !== null && shown !== undefined && (
        <Tooltip x={(at + 0.5) * slot} y={HEIGHT - BOTTOM - tall(shown.value) - 8} width={width}>
          <strong>{shown.words[0]}</strong><span>{shown.words[1]}</span>
        </Tooltip>
      )}
      <DataTable caption={caption} head={head} rows={bars.map(b => b.words)} />
    </div>
  )
}
