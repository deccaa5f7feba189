/*
 * format.ts - numbers, money and times as people read them.  Pure: the
 * language and the clock are handed in.
 */
export type Lang = 'en' | 'vi'

export function integer(n: number, lang: Lang): string {
  return new Intl.NumberFormat(lang).format(n)
}

/** 1234 -> 1.2K; below a thousand as it is. */
export function compact(n: number, lang: Lang): string {
  if (Math.abs(n) < 1000) return integer(n, lang)
  const inK = n / 1000
  const digits = Math.abs(inK) < 100 ? 1 : 0
  return `${new Intl.NumberFormat(lang, { maximumFractionDigits: digits }).format(inK)}K`
}

export function usd(n: number, lang: Lang, digits: number): string {
  return '$' + new Intl.NumberFormat(lang, {
    minimumFractionDigits: digits, maximumFractionDigits: digits
  }).format(n)
}

/** Credits over a limit as a share of 0 to 1; a limit of 0 has none left. */
export function share(part: number, whole: number): number {
  return whole > 0 ? Math.min(1, Math.max(0, part / whole)) : 0
}

export function percent(part: number, lang: Lang): string {
  return new Intl.NumberFormat(lang, { style: 'percent', maximumFractionDigits: 1 }).format(part)
}

/** 1.52 -> ["1.5", "days"], in the number that the language asks for. */
export function daysParts(n: number, lang: Lang): [string, string] {
  const words = new Intl.NumberFormat(lang, {
    style: 'unit', unit: 'day', unitDisplay: 'long', maximumFractionDigits: n < 10 ? 1 : 0
  }).formatToParts(n)
  const isUnit = (type: string) => type === 'unit'
  const text = (unit: boolean) => words.filter(p => isUnit(p.type) === unit).map(p => p.value).join('').trim()
  return [text(false), text(true)]
}

/** "2026-03-01" -> "03-01" */
export function monthDay(date: string): string {
  return date.slice(5)
}

export function hourRange(hour: number): string {
  const two = (n: number) => String(n).padStart(2, '0')
  return `${two(hour)}:00–${two((hour + 1) % 24)}:00`
}

/** "2026-03-01 12:34:56 UTC" */
export function utcTime(iso: string): string {
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]
]

/** "5 minutes ago", "in 3 days"; what is less than 5 s away is "now". */
export function relative(iso: string, nowMs: number, lang: Lang): string {
  const seconds = Math.round((Date.parse(iso) - nowMs) / 1000)
  const words = new Intl.RelativeTimeFormat(lang, { numeric: 'auto' })
  if (!Number.isFinite(seconds)) return iso
  if (Math.abs(seconds) < 5) return words.format(0, 'second')
  const [unit, size] = STEPS.find(([, s]) => Math.abs(seconds) >= s)!
  return words.format(Math.trunc(seconds / size), unit)
}

/** 3725 -> "1:02:05", 65 -> "1:05" */
export function clock(seconds: number): string {
  const s = Math.max(0, Math.ceil(seconds))
  const two = (n: number) => String(n).padStart(2, '0')
  const hours = Math.floor(s / 3600), minutes = Math.floor(s / 60) % 60
  return hours > 0 ? `${hours}:${two(minutes)}:${two(s % 60)}` : `${minutes}:${two(s % 60)}`
}

export function nextUtcMidnightMs(nowMs: number): number {
  return (Math.floor(nowMs / 86400000) + 1) * 86400000
}
