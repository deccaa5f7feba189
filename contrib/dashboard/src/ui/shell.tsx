/*
 * shell.tsx - what all pages have: the banner with navigation, theme and
 * language, and a way past it for the keyboard.
 */
import type { ComponentChildren, JSX } from 'preact'
import { useEffect } from 'preact/hooks'
import { t } from '../i18n/index.ts'
import { chooseLang, chooseTheme, lang, theme } from '../state/prefs.ts'
import { go, PATHS, type PageName } from '../state/router.ts'
import { isAdmin, logOut, overview, token } from '../state/session.ts'
import { Banners } from './banners.tsx'
import { Button, Radios } from './controls.tsx'
import { Logo } from './icons.tsx'

export const LANGUAGES = [{ value: 'en', label: 'English' }, { value: 'vi', label: 'Tiếng Việt' }] as const

interface LinkProps { to: PageName, current?: boolean, children: ComponentChildren }

/** A link that stays in this document where it may. */
export function Link({ to, current, children }: LinkProps): JSX.Element {
  const follow = (e: MouseEvent) => {
    if (e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return
    e.preventDefault()
    go(to)
  }
  return <a href={PATHS[to]} class="nav-link" aria-current={current ? 'page' : undefined} onClick={follow}>{children}</a>
}

type Where = PageName | 'docs'

/* The documentation is a document of its own: links from it are plain. */
function Navigation({ at }: { at: Where }): JSX.Element {
  const link = (name: PageName) => at === 'docs'
    ? <a key={name} class="nav-link" href={PATHS[name]}>{t(`nav.${name}`)}</a>
    : <Link key={name} to={name} current={name === at}>{t(`nav.${name}`)}</Link>
  return (
    <nav class="nav" aria-label={t('nav')}>
      {token.value !== null && [link('overview'), link('settings')]}
      {token.value === null && at === 'docs' && <a class="nav-link" href={PATHS.login}>{t('nav.login')}</a>}
      <a class="nav-link" href="/docs" aria-current={at === 'docs' ? 'page' : undefined}>{t('nav.docs')}</a>
      {isAdmin.value && link('admin') /* known last, so nothing makes room for it */}
    </nav>
  )
}

export function LanguageSwitch(): JSX.Element {
  return (
    <Radios
      legend={t('language')} value={lang.value} options={LANGUAGES} onChange={chooseLang}
      small shown={o => o.value.toUpperCase()}
    />
  )
}

interface ShellProps { at: Where, title: string, aside?: ComponentChildren, children: ComponentChildren }

export function Shell({ at, title, aside, children }: ShellProps): JSX.Element {
  useEffect(() => { document.title = `${title} · tallyd` }, [title])
  const email = overview.value?.user.email
  const skip = (e: MouseEvent) => {
    e.preventDefault()
    document.getElementById('main')?.focus()
  }
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>{t('skip')}</a>
      <header class="header">
        <div class="header-row">
          <a class="brand" href={PATHS.overview} aria-label={t('brand')}><Logo /><span>tallyd</span></a>
          <Navigation at={at} />
          <div class="header-tools">
            {token.value !== null && at !== 'docs' && <span class="who" title={email}>{email}</span>}
            <LanguageSwitch />
            <Button
              kind="quiet" icon={theme.value === 'dark' ? 'sun' : 'moon'} label={t('theme.switch')}
              onClick={() => chooseTheme(theme.value === 'dark' ? 'light' : 'dark')}
            />
            {token.value !== null && at !== 'docs' && <Button kind="quiet" icon="logout" label={t('logout')} onClick={logOut} />}
          </div>
        </div>
      </header>
      <main id="main" class="main" tabIndex={-1}>
        <Banners />
        <div class="main-head">
          <h1>{title}</h1>
          {aside}
        </div>
        {children}
      </main>
    </>
  )
}
