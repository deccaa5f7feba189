/*
 * keyform.ts - what people type into the form of a new key, as the API takes
 * it.  Pure.
 */
export type ExpiryChoice = 'never' | '30' | '90' | '365' | 'date'

export interface KeyForm {
  label: string
  expiry: ExpiryChoice
  /** As a field of type datetime-local gives it: local time. */
  date: string
  scopes: string
  addresses: string
  rateLimit: string
  dailyCredits: string
}

export const EMPTY_FORM: KeyForm = {
  label: '', expiry: 'never', date: '', scopes: '', addresses: '', rateLimit: '', dailyCredits: ''
}

export interface KeyBody {
  label?: string
  expires_at?: string
  scopes?: string[]
  allowed_ips?: string[]
  rate_limit?: number
  daily_credit_limit?: number
}

const DAY_MS = 86400000

/** "a, b c" -> ["a", "b", "c"] */
export function words(text: string): string[] {
  return text.split(/[\s,;]+/).filter(w => w !== '')
}

export function expiresAt(form: KeyForm, nowMs: number): string | undefined {
  if (form.expiry === 'never') return undefined
  const at = form.expiry === 'date' ? new Date(form.date) : new Date(nowMs + Number(form.expiry) * DAY_MS)
  // what is no date goes to the daemon as it was typed, and is refused there
  return Number.isNaN(at.getTime()) ? form.date : at.toISOString()
}

function count(text: string): number | undefined {
  return text.trim() === '' ? undefined : Number(text)
}

/** Only what was filled in: the daemon has its own idea of the rest. */
export function keyBody(form: KeyForm, nowMs: number): KeyBody {
  const body: KeyBody = {
    label: form.label.trim() || undefined,
    expires_at: expiresAt(form, nowMs),
    scopes: words(form.scopes),
    allowed_ips: words(form.addresses),
    rate_limit: count(form.rateLimit),
    daily_credit_limit: count(form.dailyCredits)
  }
  const filled = Object.entries(body).filter(([, v]) => v !== undefined && !(Array.isArray(v) && v.length === 0))
  return Object.fromEntries(filled) as KeyBody
}
