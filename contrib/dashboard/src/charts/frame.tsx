/*
 * frame.tsx - what charts share: their width, the tooltip, the table that says
 * the same to those who do not see the picture.
 */
import type { ComponentChildren, JSX, RefObject } from 'preact'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'

/** The element's width in CSS pixels, as it changes. */
export function useWidth(): [RefObject<HTMLDivElement | null>, number] {
  const ref = useRef<HTMLDivElement>(null)
  const [width, setWidth] = useState(0)
  useLayoutEffect(() => {
    const element = ref.current!
    setWidth(element.clientWidth)
    const watch = new ResizeObserver(() => setWidth(element.clientWidth))
    watch.observe(element)
    return () => watch.disconnect()
  }, [])
  return [ref, width]
}

interface TooltipProps { x: number, y: number, width: number, children: ComponentChildren }

/** Placed through the object model: a style attribute in text is forbidden. */
export function Tooltip({ x, y, width, children }: TooltipProps): JSX.Element {
  const ref = useRef<HTMLDivElement>(null)
  useLayoutEffect(() => {
    const box = ref.current!
    const half = box.offsetWidth / 2
    box.style.left = `${Math.min(Math.max(x, half), Math.max(half, width - half))}px`
    box.style.top = `${y}px`
  })
  return <div class="tooltip" ref={ref} aria-hidden="true">{children}</div>
}

interface DataTableProps { caption: string, head: readonly string[], rows: readonly (readonly string[])[] }

export function DataTable({ caption, head, rows }: DataTableProps): JSX.Element {
  return (
    <div class="hidden">
      <table>
        <caption>{caption}</caption>
        <thead><tr>{head.map(h => <th key={h} scope="col">{h}</th>)}</tr></thead>
        <tbody>
          {rows.map((row, i) => (
            <tr key={i}>
              <th scope="row">{row[0]}</th>
              {row.slice(1).map((cell, j) => <td key={j}>{cell}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
