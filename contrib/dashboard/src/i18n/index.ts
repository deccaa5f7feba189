/*
 * index.ts - every text of the pages, from one table.
 */
import { integer } from '../lib/format.ts'
import { lang } from '../state/prefs.ts'
import { en } from './en.ts'
import { vi } from './vi.ts'
import type { Table, TextKey } from './table.ts'
import { fill } from './table.ts'

export type { TextKey }

const tables: Record<'en' | 'vi', Table> = { en, vi }

/** "1 request", "1,234 requests" */
export function counted(what: 'credits' | 'requests', n: number): string {
  return n === 1 ? t(`count.${what}.one`) : t(`count.${what}`, { n: integer(n, lang.value) })
}

/** In the chosen language; a component that calls it follows the choice. */
export function t(key: TextKey, values: Record<string, string | number> = {}): string {
  return fill(tables[lang.value][key], values)
}
