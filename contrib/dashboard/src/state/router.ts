/*
 * router.ts - which page is shown.  All pages of /dashboard are one file.
 */
import { signal } from '@preact/signals'

export type PageName = 'login' | 'overview' | 'settings' | 'admin'

export const PATHS: Record<PageName, string> = {
  login: '/dashboard/login',
  overview: '/dashboard',
  settings: '/dashboard/settings',
  admin: '/dashboard/admin'
}

export function pageOf(pathname: string): PageName {
  const bare = pathname.replace(/\/+$/, '')
  const found = (Object.keys(PATHS) as PageName[]).find(name => PATHS[name] === bare)
  return found ?? 'overview'
}

export const page = signal<PageName>(pageOf(location.pathname))
export const hash = signal(location.hash.slice(1))

export function go(name: PageName, replace = false): void {
  if (location.pathname !== PATHS[name]) {
    history[replace ? 'replaceState' : 'pushState'](null, '', PATHS[name])
    scrollTo(0, 0)
  }
  page.value = name
  hash.value = location.hash.slice(1)
}

/** Tabs are fragments: they can be linked to, and go back with "back". */
export function goHash(fragment: string): void {
  history.replaceState(null, '', `#${fragment}`)
  hash.value = fragment
}

export function followHistory(): void {
  const follow = () => {
    page.value = pageOf(location.pathname)
    hash.value = location.hash.slice(1)
  }
  addEventListener('popstate', follow)
  addEventListener('hashchange', follow)
}
