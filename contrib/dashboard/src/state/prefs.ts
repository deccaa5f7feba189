/*
 * prefs.ts - theme and language, kept for the next visit.
 */
import { computed, effect, signal } from '@preact/signals'
import type { Lang } from '../lib/format.ts'

export type ThemeChoice = 'system' | 'light' | 'dark'

const THEME = 'theme', LANG = 'codexible_lang'

/* Storage may be forbidden; then the choice lasts as long as the page. */
function stored(name: string): string | null {
  try {
    return localStorage.getItem(name)
  } catch {
    return null
  }
}

function store(name: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(name)
    else localStorage.setItem(name, value)
  } catch { /* see above */ }
}

function themeStored(): ThemeChoice {
  const value = stored(THEME)
  return value === 'light' || value === 'dark' ? value : 'system'
}

const systemDark = matchMedia('(prefers-color-scheme: dark)')
const systemTheme = signal<'light' | 'dark'>(systemDark.matches ? 'dark' : 'light')

export const themeChoice = signal<ThemeChoice>(themeStored())
export const theme = computed(() => themeChoice.value === 'system' ? systemTheme.value : themeChoice.value)
export const lang = signal<Lang>(stored(LANG) === 'vi' ? 'vi' : 'en')

export function chooseTheme(choice: ThemeChoice): void {
  themeChoice.value = choice
  store(THEME, choice === 'system' ? null : choice)
}

export function chooseLang(choice: Lang): void {
  lang.value = choice
  store(LANG, choice)
}

/** Puts both on the root element, now and whenever they change. */
export function applyPrefs(): void {
  systemDark.addEventListener('change', e => { systemTheme.value = e.matches ? 'dark' : 'light' })
  addEventListener('storage', e => { // another tab
    if (e.key === THEME) themeChoice.value = themeStored()
    if (e.key === LANG) lang.value = stored(LANG) === 'vi' ? 'vi' : 'en'
  })
  effect(() => { document.documentElement.dataset.theme = theme.value })
  effect(() => { document.documentElement.lang = lang.value })
}
