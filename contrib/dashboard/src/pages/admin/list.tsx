/*
 * list.tsx - a list that is searched and paged.
 */
import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { Page } from '../../api/client.ts'
import { t } from '../../i18n/index.ts'
import { type Resource, useResource } from '../../state/resource.ts'
import { Button, Field } from '../../ui/controls.tsx'
import { TablePlaceholder } from '../../ui/table.tsx'
import { Empty, Widget } from '../../ui/widget.tsx'

const TYPING_MS = 300
export const PAGE_ROWS = 25

export interface List<T> {
  query: string
  setQuery: (q: string) => void
  page: Resource<Page<T[]>>
  /** Undefined: there is none. */
  previous: (() => void) | undefined
  next: (() => void) | undefined
}

/** A word that rests: not each key that is pressed is a call. */
export function useSettled(value: string): string {
  const [settled, setSettled] = useState(value)
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), TYPING_MS)
    return () => clearTimeout(timer)
  }, [value])
  return settled
}

type Load<T> = (query: { q?: string, limit: number, cursor?: string }) => Promise<Page<T[]>>

export function useList<T>(load: Load<T>): List<T> {
  const [query, setQuery] = useState('')
  const [cursors, setCursors] = useState<readonly string[]>([])
  const q = useSettled(query).trim(), cursor = cursors.at(-1)
  useEffect(() => setCursors([]), [q])
  const page = useResource(() => load({ q: q || undefined, limit: PAGE_ROWS, cursor }), [q, cursor], true)
  const next = page.data?.next ?? null
  return {
    query,
    setQuery,
    page,
    previous: cursors.length > 0 ? () => setCursors(c => c.slice(0, -1)) : undefined,
    next: next !== null && !page.loading ? () => setCursors(c => [...c, next]) : undefined
  }
}

interface ListCardProps<T> {
  title: string
  area: string
  search: string
  list: List<T>
  aside?: ComponentChildren
  children: (rows: T[]) => ComponentChildren
}

export function ListCard<T>({ title, area, search, list, aside, children }: ListCardProps<T>): JSX.Element {
  return (
    <Widget title={title} area={area} of={list.page} placeholder={<TablePlaceholder rows={6} />} aside={aside}>
      {({ data }) => (
        <>
          <div class="search"><Field label={search} type="search" value={list.query} onInput={list.setQuery} maxLength={100} /></div>
          {data.length === 0 ? <Empty>{t('list.empty')}</Empty> : children(data)}
          {(list.previous ?? list.next) !== undefined && (
            <div class="pager">
              <Button disabled={list.previous === undefined} onClick={list.previous}>{t('list.previous')}</Button>
              <Button disabled={list.next === undefined} onClick={list.next}>{t('list.next')}</Button>
            </div>
          )}
        </>
      )}
    </Widget>
  )
}
