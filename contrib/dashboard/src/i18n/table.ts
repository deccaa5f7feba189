/*
 * table.ts - what a language has to have: the compiler compares each with
 * English.
 */
import type { en } from './en.ts'

export type TextKey = keyof typeof en
export type Table = Readonly<Record<TextKey, string>>

/** "{n} keys" with { n: 3 } -> "3 keys" */
export function fill(text: string, values: Record<string, string | number>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name]
    return value === undefined ? whole : String(value)
  })
}
