/*
 * main.tsx - the document of all pages under /dashboard.
 */
import './style/index.css'
import { type ComponentType, type JSX, render } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { call } from './api/client.ts'
import type { Overview } from './api/types.ts'
import { t } from './i18n/index.ts'
import { LoginPage } from './pages/login.tsx'
import { applyPrefs } from './state/prefs.ts'
import { type Resource, useResource } from './state/resource.ts'
import { followHistory, go, page, type PageName } from './state/router.ts'
import { outage, overview, retryTick, startSession, token } from './state/session.ts'
import { Shell } from './ui/shell.tsx'

type PageComponent = ComponentType<{ session: Resource<Overview> }>

/* What one page needs is fetched when it is first seen, the rest when the
 * browser has nothing else to do. */
const loaders: Record<Exclude<PageName, 'login'>, () => Promise<PageComponent>> = {
  overview: async () => (await import('./pages/overview/overview.tsx')).OverviewPage,
  settings: async () => (await import('./pages/settings/settings.tsx')).SettingsPage,
  admin: async () => (await import('./pages/admin/admin.tsx')).AdminPage
}
const loaded: Partial<Record<PageName, PageComponent>> = {}

function usePage(name: Exclude<PageName, 'login'>): PageComponent | undefined {
  const [, setTurn] = useState(0)
  const failedAt = useRef<number | null>(null)
  const tick = retryTick.value
  useEffect(() => {
    if (loaded[name] !== undefined) return
    // after a failure all of it anew: a new release has other file names
    if (failedAt.current !== null && failedAt.current !== tick) location.reload()
    loaders[name]().then(component => {
      loaded[name] = component
      setTurn(n => n + 1)
    }, () => {
      failedAt.current = tick
      outage.value = 'network'
    })
  }, [name, tick])
  return loaded[name]
}

/** The focus goes along to a page that a link led to; not at the start. */
function useFocusOnPage(name: PageName, there: boolean): void {
  const shown = useRef<PageName | null>(null)
  useEffect(() => {
    if (!there || shown.current === name) return
    if (shown.current !== null && name !== 'login') document.getElementById('main')?.focus({ preventScroll: true })
    shown.current = name
  }, [name, there])
}

function Signed({ name }: { name: Exclude<PageName, 'login'> }): JSX.Element {
  const session = useResource(async () => {
    const answer = await call('get', '/api/dashboard/overview')
    overview.value = answer
    return answer
  }, [token.value], true)
  const Page = usePage(name)
  useFocusOnPage(name, Page !== undefined)
  return Page === undefined ? <Shell at={name} title={t(`nav.${name}`)}>{null}</Shell> : <Page session={session} />
}

function App(): JSX.Element {
  const name = page.value, signedIn = token.value !== null
  useEffect(() => {
    if (!signedIn && name !== 'login') go('login', true)
    if (signedIn && name === 'login') go('overview', true)
  }, [signedIn, name])
  return signedIn && name !== 'login' ? <Signed name={name} /> : <LoginPage />
}

applyPrefs()
startSession()
followHistory()
render(<App />, document.getElementById('app')!)
