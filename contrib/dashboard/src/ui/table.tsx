/*
 * table.tsx - rows with headers; on a phone a row becomes a block in which
 * each cell says its column's name.
 */
import type { ComponentChildren, JSX } from 'preact'
import { Shimmers } from './widget.tsx'

export interface Column<T> {
  label: string
  cell: (row: T) => ComponentChildren
  /** Figures stand at the right. */
  right?: boolean
  /** No label is shown in the row on a phone: buttons. */
  actions?: boolean
}

interface TableProps<T> {
  caption: string
  columns: readonly Column<T>[]
  rows: readonly T[]
  keyOf: (row: T) => string
  className?: string
}

export function Table<T>({ caption, columns, rows, keyOf, className }: TableProps<T>): JSX.Element {
  const classOf = (c: Column<T>) => [c.right && 'right', c.actions && 'actions'].filter(Boolean).join(' ') || undefined
  return (
    <table class={`table${className ? ` ${className}` : ''}`} role="table">
      <caption class="hidden">{caption}</caption>
      <thead role="rowgroup">
        <tr role="row">
          {columns.map(c => <th key={c.label} role="columnheader" scope="col" class={classOf(c)}>{c.label}</th>)}
        </tr>
      </thead>
      <tbody role="rowgroup">
        {rows.map(row => (
          <tr key={keyOf(row)} role="row">
            {columns.map(c => <td key={c.label} role="cell" class={classOf(c)} data-label={c.label}>{c.cell(row)}</td>)}
          </tr>
        ))}
      </tbody>
    </table>
  )
}

export function TablePlaceholder({ rows }: { rows: number }): JSX.Element {
  return <div class="table-placeholder"><Shimmers size="row" count={rows} /></div>
}
