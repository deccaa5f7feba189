/*
 * line.tsx - one figure over days, as a line with its area.
 */
import { max, nice, ticks } from 'd3-array'
import { area, curveMonotoneX, line } from 'd3-shape'
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { DataTable, Tooltip, useWidth } from './frame.tsx'

export interface Point { label: string, value: number, words: readonly string[] }

interface LineProps {
  caption: string
  summary: string
  head: readonly string[]
  points: readonly Point[]
  axis: (value: number) => string
}

const HEIGHT = 240, TOP = 12, BOTTOM = 28, LEFT = 52, RIGHT = 14

/** Of the labels below so many that they do not touch. */
function labelStep(count: number, width: number): number {
  return Math.max(1, Math.ceil(count / Math.max(2, Math.floor(width / 64))))
}

export function LineChart({ caption, summary, head, points, axis }: LineProps): JSX.Element {
  const [ref, width] = useWidth()
  const [at, setAt] = useState<number | null>(null)
  const [, top] = nice(0, max(points, p => p.value) || 1, 4)
  const inner = Math.max(0, width - LEFT - RIGHT)
  const step = points.length > 1 ? inner / (points.length - 1) : 0
  const x = (i: number) => points.length > 1 ? LEFT + i * step : LEFT + inner / 2
  const y = (value: number) => HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)
  const every = labelStep(points.length, inner)
  const last = points.length - 1

  const point = (e: PointerEvent) => {
    const left = (e.currentTarget as Element).getBoundingClientRect().left
    const i = step > 0 ? Math.round((e.clientX - left - LEFT) / step) : 0
    setAt(Math.min(last, Math.max(0, i)))
  }
  const shown = at !== null ? points[at] : undefined
  return (
    <div class="chart chart-line" ref={ref}>
      {width > 0 && (
        <svg role="img" aria-label={summary} width={width} height={HEIGHT} onPointerMove={point} onPointerLeave={() => setAt(null)}>
          {ticks(0, top, 4).map(v => (
            <g key={v}>
              <line class="grid" x1={LEFT} x2={width - RIGHT} y1={y(v)} y2={y(v)} />
              <text class="axis" x={LEFT - 8} y={y(v)} dy="0.32em" text-anchor="end">{axis(v)}</text>
            </g>
          ))}
          {points.map((p, i) => (last - i) % every === 0 && (
            <text key={p.label} class="axis" x={x(i)} y={HEIGHT - 8} text-anchor={i === last && last > 0 ? 'end' : 'middle'}>{p.label}</text>
          ))}
          <path class="area" d={area<Point>((_, i) => x(i), y(0), p => y(p.value)).curve(curveMonotoneX)(points as Point[]) ?? ''} />
          <path class="line" d={line<Point>((_, i) => x(i), p => y(p.value)).curve(curveMonotoneX)(points as Point[]) ?? ''} />
          {points.length <= 31 && points.map((p, i) => <circle key={p.label} class="dot" cx={x(i)} cy={y(p.value)} r={points.length > 10 ? 2 : 3.5} />)}
          {at !== null && shown !== undefined && (
            <g>
              <line class="cross" x1={x(at)} x2={x(at)} y1={TOP} y2={HEIGHT - BOTTOM} />
              <circle class="dot dot-on" cx={x(at)} cy={y(shown.value)} r={5} />
            </g>
          )}
        </svg>
      )}
      {at !== null && shown !== undefined && (
        <Tooltip x={x(at)} y={Math.max(TOP, y(shown.value) - 14)} width={width}>
          {shown.words.map((w, i) => i === 0 ? <strong key={i}>{w}</strong> : <span key={i}>{w}</span>)}
        </Tooltip>
      )}
      <DataTable caption={caption} head={head} rows={points.map(p => p.words)} />
    </div>
  )
}
